/** `WebAssembly.compile`, which Workers do not have and their types leave out. */
export function compile(bytes: BufferSource): Promise<WebAssembly.Module> {
  const { compile } = WebAssembly as unknown as {
    compile(bytes: BufferSource): Promise<WebAssembly.Module>;
  };
  return compile(bytes);
}
