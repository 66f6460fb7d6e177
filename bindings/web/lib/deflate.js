// zlib streams (RFC 1950, RFC 1951) of one block with a dynamic Huffman code for single bytes: no repetitions are looked for.

/** Order in which the lengths of the code for code lengths are written. */
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const END = 256;
/** The longest code for bytes, and that for code lengths. */
const LONGEST = 15;
const LONGEST_OF_LENGTHS = 7;

/** A zlib stream of bytes. */
export function huffmanZlib(bytes) {
  const counts = new Array(END + 1).fill(0);
  for (const byte of bytes) counts[byte] += 1;
  counts[END] = 1;
  const lengths = codeLengths(counts, LONGEST);
  const codes = canonicalCodes(lengths);
  const bits = new BitWriter(bytes.length + 512);
  bits.put(0x0178, 16);
  // The last block, with a code of its own.
  bits.put(0b101, 3);
  // There is one code for distances, which has no length and is not used.
  writeLengths(bits, lengths, [0]);
  for (const byte of bytes) bits.put(codes[byte], lengths[byte]);
  bits.put(codes[END], lengths[END]);
  return bits.finish(adler32(bytes));
}

/** The lengths of the codes for bytes and for distances, with a code for the lengths. */
function writeLengths(bits, lengths, distances) {
  const all = [...lengths, ...distances];
  const counts = new Array(19).fill(0);
  for (const length of all) counts[length] += 1;
  const inner = codeLengths(counts, LONGEST_OF_LENGTHS);
  const codes = canonicalCodes(inner);
  bits.put(lengths.length - 257, 5);
  bits.put(distances.length - 1, 5);
  bits.put(ORDER.length - 4, 4);
  for (const symbol of ORDER) bits.put(inner[symbol], 3);
  for (const length of all) bits.put(codes[length], inner[length]);
}

/** Lengths of a Huffman code, at most `longest`: rare symbols count more until it fits. */
function codeLengths(counts, longest) {
  for (let least = 1; ; least *= 2) {
    const lengths = huffman(counts.map(count => (count === 0 ? 0 : Math.max(count, least))));
    if (Math.max(...lengths) <= longest) return lengths;
  }
}

function huffman(counts) {
  const lengths = new Array(counts.length).fill(0);
  let nodes = counts.map((count, symbol) => ({ count, symbols: [symbol] })).filter(node => node.count > 0);
  // A code needs two symbols to be complete.
  if (nodes.length === 1) nodes.push({ count: 0, symbols: [nodes[0].symbols[0] === 0 ? 1 : 0] });
  while (nodes.length > 1) {
    nodes.sort((a, b) => b.count - a.count);
    const [a, b] = [nodes.pop(), nodes.pop()];
    const symbols = [...a.symbols, ...b.symbols];
    for (const symbol of symbols) lengths[symbol] += 1;
    nodes.push({ count: a.count + b.count, symbols });
  }
  return lengths;
}

/** The codes of lengths, reversed, as they are written from the least significant bit. */
function canonicalCodes(lengths) {
  const codes = new Array(lengths.length).fill(0);
  let code = 0;
  for (let length = 1; length <= LONGEST; length++) {
    for (let symbol = 0; symbol < lengths.length; symbol++) {
      if (lengths[symbol] === length) codes[symbol] = reversed(code++, length);
    }
    code *= 2;
  }
  return codes;
}

function reversed(code, length) {
  let result = 0;
  for (let bit = 0; bit < length; bit++) result |= ((code >> bit) & 1) << (length - 1 - bit);
  return result;
}

function adler32(bytes) {
  let [a, b] = [1, 0];
  for (const byte of bytes) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  return b * 65536 + a;
}

class BitWriter {
  #bytes;
  #at = 0;
  #bits = 0;
  #count = 0;

  constructor(capacity) {
    this.#bytes = new Uint8Array(2 * capacity);
  }

  put(value, count) {
    this.#bits |= value << this.#count;
    this.#count += count;
    while (this.#count >= 8) {
      this.#bytes[this.#at++] = this.#bits & 255;
      this.#bits >>>= 8;
      this.#count -= 8;
    }
  }

  /** The bytes, with a checksum at their end. */
  finish(checksum) {
    this.put(0, 7);
    const sum = [checksum >>> 24, (checksum >>> 16) & 255, (checksum >>> 8) & 255, checksum & 255];
    this.#bytes.set(sum, this.#at);
    return this.#bytes.slice(0, this.#at + 4);
  }
}
