/** A static import of WASM, as workerd has it. */
declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}
