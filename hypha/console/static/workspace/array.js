// The numbers of an array that a function gave, as text, where they are few.

const MAX_NUMBERS = 1000;
const NAMES = {
  bool: "b1", int8: "i1", int16: "i2", int32: "i4", int64: "i8", uint8: "u1", uint16: "u2", uint32: "u4",
  uint64: "u8", float16: "f2", float32: "f4", float64: "f8", complex64: "c8", complex128: "c16",
};
const READERS = {
  b1: (view, at) => view.getUint8(at) !== 0,
  i1: (view, at) => view.getInt8(at),
  u1: (view, at) => view.getUint8(at),
  i2: (view, at, little) => view.getInt16(at, little),
  u2: (view, at, little) => view.getUint16(at, little),
  i4: (view, at, little) => view.getInt32(at, little),
  u4: (view, at, little) => view.getUint32(at, little),
  i8: (view, at, little) => view.getBigInt64(at, little),
  u8: (view, at, little) => view.getBigUint64(at, little),
  f2: (view, at, little) => half(view.getUint16(at, little)),
  f4: (view, at, little) => single(view.getFloat32(at, little)),
  f8: (view, at, little) => view.getFloat64(at, little),
  c8: (view, at, little) => complex(single(view.getFloat32(at, little)), single(view.getFloat32(at + 4, little))),
  c16: (view, at, little) => complex(view.getFloat64(at, little), view.getFloat64(at + 8, little)),
};

export const isArray = (value) => Boolean(value) && value._rtype === "ndarray" && value._rvalue instanceof Uint8Array;

export const nameOf = (array) => `array of ${array._rdtype}, shape ${JSON.stringify(array._rshape)}`;

/** The numbers as nested lists, one row a line; empty if they are many, or of another kind. */
export function numbersOf(array) {
  const given = /^([<>=|]?)([a-z]\d+)$/.exec(NAMES[array._rdtype] || array._rdtype);
  const read = given && Object.hasOwn(READERS, given[2]) && READERS[given[2]];
  const shape = array._rshape;
  if (!read || !Array.isArray(shape) || shape.length > 32 || !shape.every((size) => size > 0)) return "";
  const width = Number(given[2].slice(1));
  const count = array._rvalue.byteLength / width;
  if (count < 1 || count > MAX_NUMBERS || shape.reduce((product, size) => product * size, 1) !== count) return "";
  const view = new DataView(array._rvalue.buffer, array._rvalue.byteOffset, array._rvalue.byteLength);
  let items = Array.from({ length: count }, (_, index) => String(read(view, index * width, given[1] !== ">")));
  for (const [place, size] of [...shape.entries()].reverse()) {
    const between = place === shape.length - 1 ? ", " : `,\n${" ".repeat(place + 1)}`;
    items = Array.from({ length: items.length / size }, (_, row) => `[${items.slice(row * size, (row + 1) * size).join(between)}]`);
  }
  return items[0];
}

/** A number of 32 bits with the digits that it has, not those of the same number in 64 bits. */
function single(value) {
  for (let digits = 6; digits < 10; digits += 1) {
    const shorter = Number(value.toPrecision(digits));
    if (Math.fround(shorter) === value) return shorter;
  }
  return value;
}

const complex = (real, imaginary) => `${real}${imaginary < 0 || Object.is(imaginary, -0) ? "" : "+"}${imaginary}j`;

function half(bits) {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}
