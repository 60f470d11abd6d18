// Reading MessagePack, in which results may hold bytes and arrays.

const MAX_DEPTH = 100;

/** Raised when a value is not there completely yet. */
export class Incomplete extends Error {}

/** Reads values one after another; `feed` adds bytes, `next` gives a value or throws Incomplete. */
export class Unpacker {
  constructor(bytes = new Uint8Array()) {
    this.feed(bytes);
  }

  feed(bytes) {
    const rest = this.bytes ? this.bytes.subarray(this.at) : new Uint8Array();
    this.bytes = new Uint8Array(rest.length + bytes.length);
    this.bytes.set(rest);
    this.bytes.set(bytes, rest.length);
    this.view = new DataView(this.bytes.buffer);
    this.at = 0;
  }

  next() {
    const start = this.at;
    try {
      return this.read(0);
    } catch (error) {
      this.at = start;
      throw error;
    }
  }

  read(depth) {
    if (depth > MAX_DEPTH) throw new Error("The result is nested too deeply.");
    const code = this.number("Uint8", 1);
    if (code < 0x80) return code;
    if (code < 0x90) return this.map(code & 15, depth);
    if (code < 0xa0) return this.list(code & 15, depth);
    if (code < 0xc0) return this.text(code & 31);
    if (code >= 0xe0) return code - 0x100;
    if (code in CONSTANTS) return CONSTANTS[code];
    if (code in NUMBERS) return Number(this.number(...NUMBERS[code]));
    if (code >= 0xd4 && code <= 0xd8) return this.extension(1 << (code - 0xd4));
    const [kind, ...size] = SIZED[code] || [];
    if (!kind) throw new Error("The result cannot be read.");
    return this[kind](this.number(...size), depth);
  }

  number(type, size) {
    if (this.at + size > this.bytes.length) throw new Incomplete("The result is not complete.");
    const value = this.view[`get${type}`](this.at);
    this.at += size;
    return value;
  }

  binary(size) {
    if (this.at + size > this.bytes.length) throw new Incomplete("The result is not complete.");
    this.at += size;
    return this.bytes.slice(this.at - size, this.at);
  }

  text(size) {
    return new TextDecoder().decode(this.binary(size));
  }

  list(size, depth) {
    const items = [];
    while (items.length < size) items.push(this.read(depth + 1));
    return items;
  }

  map(size, depth) {
    const entries = [];
    while (entries.length < size) entries.push([String(this.read(depth + 1)), this.read(depth + 1)]);
    return Object.fromEntries(entries);
  }

  extension(size) {
    const type = this.number("Int8", 1);
    const data = new DataView(this.binary(size).buffer);
    if (type !== -1) return `extension ${type}`;
    if (size === 4) return dateOf(data.getUint32(0), 0);
    if (size === 8) return dateOf(Number(data.getBigUint64(0) & 0x3ffffffffn), data.getUint32(0) >>> 2);
    return dateOf(Number(data.getBigInt64(4)), data.getUint32(0));
  }
}

function dateOf(seconds, nanoseconds) {
  const date = new Date(seconds * 1000 + nanoseconds / 1e6);
  return Number.isNaN(date.getTime()) ? `${seconds} s` : date.toISOString();
}

const CONSTANTS = { 0xc0: null, 0xc2: false, 0xc3: true };
const NUMBERS = {
  0xca: ["Float32", 4], 0xcb: ["Float64", 8], 0xcc: ["Uint8", 1], 0xcd: ["Uint16", 2], 0xce: ["Uint32", 4],
  0xcf: ["BigUint64", 8], 0xd0: ["Int8", 1], 0xd1: ["Int16", 2], 0xd2: ["Int32", 4], 0xd3: ["BigInt64", 8],
};
const [ONE, TWO, FOUR] = [["Uint8", 1], ["Uint16", 2], ["Uint32", 4]];
const SIZED = {
  0xc4: ["binary", ...ONE], 0xc5: ["binary", ...TWO], 0xc6: ["binary", ...FOUR],
  0xc7: ["extension", ...ONE], 0xc8: ["extension", ...TWO], 0xc9: ["extension", ...FOUR],
  0xd9: ["text", ...ONE], 0xda: ["text", ...TWO], 0xdb: ["text", ...FOUR],
  0xdc: ["list", ...TWO], 0xdd: ["list", ...FOUR], 0xde: ["map", ...TWO], 0xdf: ["map", ...FOUR],
};
