/**
 * The algorithm F(m, r) for m outputs of a correlation with a filter of r taps: y = A·[(G·g) ⊙ (B·d)], d of m + r − 1
 * inputs. It takes m + r − 1 multiplications in place of m·r.
 *
 * Toom 1963, Cook 1966; Winograd, Arithmetic Complexity of Computations, 1980; for convolutional networks Lavin and
 * Gray, Fast Algorithms for Convolutional Neural Networks, 2016.
 */
export interface FastCorrelation {
  /** Outputs, m. */
  readonly outputs: number;
  /** Multiplications and inputs, n = m + r − 1. */
  readonly points: number;
  /** B, [n][n]: input transform. */
  readonly input: readonly (readonly number[])[];
  /** G, [n][r]: filter transform. */
  readonly filter: readonly (readonly number[])[];
  /** A, [m][n]: output transform. */
  readonly output: readonly (readonly number[])[];
}

/** Interpolation points, the best conditioned first; the last point is always ∞. */
const POINTS = [0, 1, -1, 2, -2, 0.5, -0.5];

/** The most multiplications: more points lose too many digits in single precision. */
export const MOST_POINTS = POINTS.length + 1;

/**
 * F(m, r) from interpolation at n − 1 finite points and ∞. With one output it is the plain correlation.
 * @throws RangeError when it takes more than {@link MOST_POINTS} multiplications, or m or r is not positive.
 */
export function fastCorrelation(outputs: number, taps: number): FastCorrelation {
  const points = outputs + taps - 1;
  if (outputs < 1 || taps < 1 || points > MOST_POINTS) {
    throw new RangeError(`F(${outputs}, ${taps}) needs ${points} points; there are ${MOST_POINTS}`);
  }
  if (outputs === 1) return plainCorrelation(taps);
  const finite = POINTS.slice(0, points - 1);
  const others = finite.map((point) => finite.filter((other) => other !== point));
  const last = (length: number) => Array.from({ length }, (_, i) => (i === length - 1 ? 1 : 0));
  return {
    outputs,
    points,
    input: [...others.map((roots) => [...polynomial(roots), 0]), polynomial(finite)],
    filter: [
      ...finite.map((point, i) => {
        const scale = others[i]!.reduce((product, other) => product * (point - other), 1);
        return powers(point, taps).map((power) => power / scale);
      }),
      last(taps),
    ],
    output: Array.from({ length: outputs }, (_, row) => [
      ...finite.map((point) => powers(point, outputs)[row]!),
      row === outputs - 1 ? 1 : 0,
    ]),
  };
}

function plainCorrelation(taps: number): FastCorrelation {
  const unit = Array.from({ length: taps }, (_, i) =>
    Array.from({ length: taps }, (_, j) => (i === j ? 1 : 0)),
  );
  return { outputs: 1, points: taps, input: unit, filter: unit, output: [new Array(taps).fill(1)] };
}

/** 1, x, x², … */
function powers(x: number, count: number): number[] {
  const list = [1];
  while (list.length < count) list.push(list.at(-1)! * x);
  return list.slice(0, count);
}

/** Coefficients of Π (x − root), lowest power first. */
function polynomial(roots: readonly number[]): number[] {
  let coefficients = [1];
  for (const root of roots) {
    coefficients = [0, ...coefficients].map((above, power) => above - root * (coefficients[power] ?? 0));
  }
  return coefficients;
}
