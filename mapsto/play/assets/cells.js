// A person's table as text: its rows of cells, and the numbers and dates that are written in a cell, as mapsto reads them.

const SEPARATORS = ["\t", ";", "|", ","]; // in this order if several fit equally well
const BLANK = " \u00a0\u2009\u202f'’";
const NUMBER = `\\d{1,3}(?:[${BLANK}]\\d{3})+(?:[.,]\\d+)?(?![\\d.,])|\\d+(?:[.,]\\d+)*[.,]?|[.,]\\d+`;
const UNIT = ["%", "‰", "°\\s?[CF]", "[xX×*]?\\s?10(?:\\^|\\*\\*)?[⁰-⁹\\d]+\\s?/\\s?[\\p{L}\\d_]+",
  "/?\\s?\\p{L}[^\\d<>=,;:+]{0,14}\\d?(?:/[^\\d]{0,8})?(?:/1[.,]73\\s?m[2²])?", "[$€£¥]", "[*!↑↓]{1,2}"].join("|");
const CELL = new RegExp(`^(?<bound><=?|>=?|≤|≥|=<|=>|~|≈)?\\s*(?<before>[$€£¥]|(?:USD|EUR|GBP|CHF|JPY|CNY)\\s)?\\s*(?<minus>[+\\-−–])?\\s*`
  + `(?<money>[$€£¥])?\\s*(?<number>${NUMBER})(?<power>[eE][+-]?\\d+)?(?<plus>\\+)?\\s*(?<unit>\\(?(?:${UNIT})\\)?)?$`, "u");
const NEGATIVE = /^\(\s*([$€£¥]?\s*\d[\d.,]*)\s*\)$|^((?!0-)\d[\d.,]*)-$/; // as accountants write it; 0- is a blood group
const PLAIN = {".": /^\d*\.?\d*$/, ",": /^\d*,?\d*$/};
const GROUPED = {
  ".": /^[1-9]\d{0,2}(,\d{3})+(\.\d*)?$|^[1-9]\d?(,\d{2})+,\d{3}(\.\d*)?$/,
  ",": /^[1-9]\d{0,2}(\.\d{3})+(,\d*)?$/,
};
const CLOCK = "(?:[T ,]+(\\d{1,2}):(\\d{2})(?::(\\d{2})(?:[.,]\\d+)?)?)?";
const YEAR_FIRST = new RegExp(`^(\\d{4})([-/.])(\\d{1,2})\\2(\\d{1,2})${CLOCK}$`);
const YEAR_LAST = new RegExp(`^(\\d{1,2})([-/.])(\\d{1,2})\\2(\\d{4}|\\d{2})${CLOCK}$`);

/** Return a text without differences of case, of blanks, and of how an accent is stored. */
const fold = text => text.trim().replace(/\s+/g, " ").toLowerCase().normalize("NFC");

/** Return the rows of a text; "" is an empty cell. Empty rows, comments, titles and footers are left out. */
function gridOf(text) {
  const first = /^\ufeff?\s*"?sep=(.)"?\s*\r?\n/.exec(text); // a first line that some spreadsheets write
  const rest = first ? text.slice(first[0].length) : text;
  const separator = SEPARATORS.includes(first?.[1]) ? first[1] : separatorOf(rest);
  const rows = split(rest, separator).filter(row => row.some(Boolean) && !row[0].startsWith("#"));
  const [width] = commonest(rows.map(row => row.length)), filled = row => row.filter(Boolean).length;
  const alone = row => row.length < width && filled(row) === 1;
  while (rows.length && (2 * filled(rows[0]) < width || alone(rows[0]))) rows.shift();
  while (rows.length && alone(rows[rows.length - 1])) rows.pop();
  return rows;
}

/** Return the sign that divides most rows into the same number of cells, at least two. */
function separatorOf(text) {
  const even = sign => {
    const widths = split(text.slice(0, 20000), sign).filter(row => row.some(Boolean)).map(row => row.length);
    const [width, count] = commonest(widths);
    return width > 1 ? count / widths.length : 0;
  };
  const scores = SEPARATORS.map(even), best = Math.max(...scores);
  return best ? SEPARATORS[scores.indexOf(best)] : ",";
}

/** Return the commonest of some numbers, the larger of equally common ones, and how often it occurs. */
function commonest(numbers) {
  const counted = [...counts(numbers)].sort(([a, m], [b, n]) => n - m || b - a);
  return counted[0] ?? [0, 0];
}

function counts(values) {
  const counted = new Map();
  for (const value of values) counted.set(value, (counted.get(value) ?? 0) + 1);
  return counted;
}

function split(text, separator) {
  const rows = [[""]];
  let quoted = false, fresh = true; // a quotation mark opens a cell only at its beginning
  for (let i = 0; i < text.length; i++) {
    const letter = text[i], row = rows[rows.length - 1], end = row.length - 1;
    if (quoted && letter === '"' && text[i + 1] === '"') row[end] += text[++i];
    else if (letter === '"' && (quoted || fresh)) [quoted, fresh] = [!quoted, false];
    else if (!quoted && letter === separator) fresh = Boolean(row.push(""));
    else if (!quoted && (letter === "\n" || letter === "\r")) {
      if (letter === "\n" || text[i + 1] !== "\n") fresh = Boolean(rows.push([""]));
    } else {
      row[end] += letter;
      fresh &&= letter === " " || letter === "\ufeff";
    }
  }
  return rows.map(row => row.map(tidy));
}

/** Return a cell without blanks and a byte order mark; ="007" is how a spreadsheet keeps the zeros of 007. */
function tidy(cell) {
  const plain = cell.replace(/^[\s\ufeff\u001a]+|[\s\ufeff\u001a]+$/g, "");
  return /^="([^"]*)"$/.exec(plain)?.[1] ?? plain;
}

/** Return the digits, sign, power, unit and bound (−1: below, 1: above) of a cell with a number; null if it has none. */
function partsOf(text) {
  const negative = NEGATIVE.exec(text), match = CELL.exec(negative ? negative[1] ?? negative[2] : text)?.groups;
  if (!match) return null;
  const bound = {"<": -1, "≤": -1, ">": 1, "≥": 1}[(match.bound ?? "").replace("=", "")] ?? 0;
  return {
    digits: match.number, sign: negative || (match.minus && match.minus !== "+") ? -1 : 1, power: match.power ?? "",
    unit: (match.before ?? match.money ?? match.unit ?? "").trim(), bound: bound || (match.plus ? 1 : 0),
  };
}

/** Return the number of a cell, NaN if its marks do not fit the decimal mark. */
function valueOf({digits, sign, power}, decimal) {
  const bare = digits.replace(new RegExp(`[${BLANK}]`, "g"), "");
  if (!PLAIN[decimal].test(bare) && !GROUPED[decimal].test(bare)) return NaN;
  return sign * Number(bare.replaceAll(decimal === "." ? "," : ".", "").replace(",", ".") + power);
}

/** Return the decimal mark by which cells are numbers, and whether only one fits; null if no cell has a mark. */
function decimalMark(parts) {
  const has = part => /[.,]/.test(part.digits), marked = parts.filter(has);
  if (!marked.length) return null;
  const fits = mark => marked.filter(part => !Number.isNaN(valueOf(part, mark))).length;
  if (fits(".") !== fits(",")) return {mark: fits(".") > fits(",") ? "." : ",", sure: true};
  const plain = parts.filter(part => !has(part)).map(part => valueOf(part, "."));
  if (!plain.length) return {mark: ".", sure: false};
  const all = sign => marked.every(part => part.digits.includes(sign));
  if (Math.max(...plain.map(Math.abs)) >= 1000) return {mark: all(",") ? "," : ".", sure: true};
  if (marked.some(part => part.digits.endsWith("0"))) return {mark: all(".") ? "," : ".", sure: false, spread: true};
  const spread = mark => {
    const sizes = [...plain, ...marked.map(part => valueOf(part, mark))].map(Math.abs).filter(Boolean);
    return sizes.length ? Math.log(Math.max(...sizes) / Math.min(...sizes)) : 0;
  };
  return {mark: spread(",") < spread(".") ? "," : ".", sure: false, spread: true};
}

/** Return the days since 1970-01-01 of a date in digits, NaN if the text is none. */
function daysOf(text, dayFirst = true) {
  const match = YEAR_FIRST.exec(text), other = match ? null : YEAR_LAST.exec(text);
  if (match) return day(Number(match[1]), match[3], match[4], match.slice(5));
  if (!other) return NaN;
  const short = other[4].length === 2, year = Number(other[4]) + (short ? (Number(other[4]) >= 30 ? 1900 : 2000) : 0);
  return dayFirst ? day(year, other[3], other[1], other.slice(5)) : day(year, other[1], other[3], other.slice(5));
}

function day(year, month, date, [hour = 0, minute = 0, second = 0]) {
  const moment = new Date(Date.UTC(2000, month - 1, date, hour, minute, second));
  moment.setUTCFullYear(year, month - 1, date);
  const exists = moment.getUTCMonth() === month - 1 && moment.getUTCDate() === Number(date);
  return exists && hour < 24 && minute < 60 && second < 60 ? moment.getTime() / 864e5 : NaN;
}

/** Return hours of a time of day such as 8:30, NaN if the text is none. */
function hoursOf(text) {
  const match = /^(\d{1,5}):([0-5]\d)(?::([0-5]\d))?$/.exec(text);
  return match ? Number(match[1]) + match[2] / 60 + (match[3] ?? 0) / 3600 : NaN;
}
