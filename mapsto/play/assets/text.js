// Texts as Python sees them: blanks, digits and cases of all scripts, and the patterns by which mapsto reads a table.

const WORDS = JSON.parse(document.getElementById("words").textContent); // what mapsto.play.reading returns
const [SIGNS, KEPT, LOST] = [new Set(WORDS.signs), new Set(WORDS.kept), new Set([...WORDS.signs, ...WORDS.words])];
const BLANKS = new RegExp(`[${WORDS.blanks}]+`, "u"), ENDS = new RegExp(`^[${WORDS.blanks}]+|[${WORDS.blanks}]+$`, "gu");

/** What is wrong with a table: the key of a phrase, and its values. */
class Refusal extends Error {
  constructor(key, values) {
    super(key);
    this.told = [key, values];
  }
}

function refuse(key, values) {
  throw new Refusal(key, values);
}

/** Return the pattern of that name in a module of mapsto.tables; it matches whole texts. */
function whole(module, name) {
  const [source, flags] = WORDS.patterns[module][name];
  return new RegExp(`^(?:${source})$`, flags);
}

/** Return the pattern of that name in a module of mapsto.tables; it matches parts of a text. */
function part(module, name, flags = "") {
  const [source, own] = WORDS.patterns[module][name];
  return new RegExp(source, own + flags);
}

const NO_DATE = whole("words", "NO_DATE");
const strip = text => text.replace(ENDS, "");
const pieces = text => text.split(BLANKS).filter(Boolean);
const lower = letter => WORDS.folds[letter] ?? letter.toLowerCase();
const isCode = text => /^\p{Nd}+$/u.test(text); // Python's isdecimal

/** Return a text without differences of case, of blanks, and of how an accent is stored. */
const fold = text => [...pieces(text).join(" ")].map(lower).join("").normalize("NFC");

/** Return whether a text stands for a missing number or date. */
function isMissing(text) {
  const folded = fold(text);
  return !folded || LOST.has(folded) || NO_DATE.test(text);
}

/** Return a text with the digits 0 to 9 in place of those of other scripts. */
function ascii(text) {
  return text.replace(/[^\P{Nd}0-9]/gu, digit => {
    const code = digit.codePointAt(0);
    return code - WORDS.zeros.findLast(zero => zero <= code);
  });
}

const int = text => Number(ascii(text));

/** Return the number that Python's float reads, NaN if it reads none. */
function float(text) {
  const plain = ascii(strip(text)).replace(/(?<=\d)_(?=\d)/g, "");
  const infinite = /^([+-]?)inf(?:inity)?$/i.exec(plain);
  if (infinite) return infinite[1] === "-" ? -Infinity : Infinity;
  return /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(plain) ? Number(plain) : NaN;
}

/** Write a number as Python does: 4.0 as 4. */
function written(number) {
  if (Number.isInteger(number)) return String(BigInt(number));
  const power = Math.floor(Math.log10(Math.abs(number))), plain = String(number);
  if ((power >= -4 && power < 16) || plain.includes("e")) return plain.replace(/e([+-])(\d)$/, "e$10$2");
  return number.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
}

/** Compare texts by their letters, as Python does. */
function compare(a, b) {
  const [p, q] = [a, b].map(text => [...text]), i = p.findIndex((letter, at) => letter !== q[at]);
  return i < 0 ? p.length - q.length : i >= q.length ? 1 : p[i].codePointAt(0) - q[i].codePointAt(0);
}

/** Compare texts by the numbers inside them: ward 9 before ward 10. */
function natural(a, b) {
  const parts = text => text.match(/\p{Nd}+|\P{Nd}+/gu) ?? [], [first, second] = [parts(a), parts(b)];
  for (let i = 0; i < Math.min(first.length, second.length); i++) {
    const [p, q] = [first[i], second[i]], [m, n] = [isCode(p), isCode(q)];
    if (m !== n) return m ? -1 : 1;
    const order = m ? Math.sign(int(p) - int(q)) || 0 : compare(p, q);
    if (order) return order;
  }
  return first.length - second.length || compare(a, b);
}

/** Return how often each value occurs, in the order of their first places. */
function counts(values) {
  const counted = new Map();
  for (const value of values) counted.set(value, (counted.get(value) ?? 0) + 1);
  return counted;
}

const sum = numbers => [...numbers].reduce((a, b) => a + b, 0);
const highest = numbers => numbers.reduce((a, b) => (b > a ? b : a));
const lowest = numbers => numbers.reduce((a, b) => (b < a ? b : a));

/** Return the key with the largest value, the first of equal ones. */
const largest = counted => [...counted].reduce((a, b) => (b[1] > a[1] ? b : a))[0];

/** Return texts in the order of their frequency; equally frequent ones in the order of the numbers inside them. */
function commonestFirst(counted, texts = counted.keys()) {
  return [...texts].sort((a, b) => counted.get(b) - counted.get(a) || natural(a, b));
}
