/** Rows as aligned columns; the first column is left-aligned, the others right-aligned. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    });
  }
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** 10,857,958 → "10.86 MB". */
export function bytes(count: number): string {
  return scaled(count, ["B", "kB", "MB", "GB", "TB", "PB"]);
}

/** 1,234,567 → "1.23 M". */
export function quantity(count: number): string {
  return scaled(count, ["", "k", "M", "G", "T", "P", "E"]).trim();
}

/** 0.00123 → "1.23 ms". */
export function seconds(time: number): string {
  if (time === 0) return "0 s";
  if (time < 1e-3) return `${significant(time * 1e6)} µs`;
  if (time < 1) return `${significant(time * 1e3)} ms`;
  return `${significant(time)} s`;
}

/** For people who wait: 8.2 → "9 s", 95 → "2 min", 5000 → "1 h 24 min"; rounded up. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  const minutes = Math.ceil(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Change from one figure to another: "−42.1 %". */
export function change(before: number, after: number): string {
  if (before === 0) return "";
  const percent = (after / before - 1) * 100;
  const sign = percent < 0 ? "−" : "+";
  return Math.abs(percent) < 0.05 ? "=" : `${sign}${Math.abs(percent).toFixed(1)} %`;
}

export function significant(value: number): string {
  if (value === 0) return "0";
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en-US") : value.toPrecision(3);
}

function scaled(count: number, units: readonly string[]): string {
  let value = count;
  let unit = 0;
  while (Math.abs(value) >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 ? String(value) : value.toPrecision(value >= 100 ? 4 : 3);
  return `${digits} ${units[unit]}`;
}
