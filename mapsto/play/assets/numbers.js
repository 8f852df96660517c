// Numbers as people write them: with units, currencies, thousands, decimal commas and bounds; a column has one decimal mark.

const [CELL, NEGATIVE, INFINITE] = ["CELL", "NEGATIVE", "INFINITE"].map(name => whole("spelling", name));
const [PLAIN, GROUPED] = ["PLAIN", "GROUPED"].map(name => ({".": whole("spelling", `${name} .`), ",": whole("spelling", `${name} ,`)}));
const THIN = part("spelling", "BLANKS", "g"), FLAGS = new Set(WORDS.flags);
const EXACTLY = 2 ** 53, DIGITS = 300; // a float holds every integer up to here; more digits are no whole number

/** Return the digits, sign, power, unit and bound (−1: below, 1: above) of a cell with a number; null if it has none. */
const partsOf = remembered(text => {
  if (INFINITE.test(text)) return {digits: "inf", sign: text.includes("-") ? -1 : 1, power: "", unit: "", bound: 0};
  const negative = NEGATIVE.exec(strip(text)), match = CELL.exec(negative ? negative[1] ?? negative[2] : strip(text))?.groups;
  if (!match) return null;
  const bound = {"<": -1, "≤": -1, ">": 1, "≥": 1}[(match.bound ?? "").replace("=", "")] ?? 0;
  return {
    digits: match.number, sign: negative || (match.sign && match.sign !== "+") ? -1 : 1, power: match.power ?? "",
    unit: strip(match.before || match.money || match.unit || ""), bound: bound || (match.plus ? 1 : 0),
  };
});

/** Return a function that remembers its results. */
function remembered(make) {
  const known = new Map();
  return text => {
    if (!known.has(text)) known.set(text, make(text));
    return known.get(text);
  };
}

/** Return the number of a cell, NaN if its marks do not fit the decimal mark. */
function valueOf({digits, sign, power}, decimal) {
  if (digits === "inf") return sign * Infinity;
  const bare = digits.replace(THIN, "");
  if (!PLAIN[decimal].test(bare) && !GROUPED[decimal].test(bare)) return NaN;
  return sign * float(bare.replaceAll(decimal === "." ? "," : ".", "").replace(",", ".") + power);
}

/** Return a whole number with all of its digits; null if it is not whole, or has too many digits. */
function exactly({digits, sign, power}, decimal) {
  const bare = digits.replace(THIN, "").replaceAll(decimal === "." ? "," : ".", "");
  return isCode(bare) && [...bare].length <= DIGITS && !power ? BigInt(sign) * BigInt(ascii(bare)) : null;
}

/** Return the decimal mark by which cells are numbers, and whether only one fits; null if no cell has a mark. */
function decimalMark(parts) {
  const has = part => /[.,]/.test(part.digits), finite = parts.filter(part => part.digits !== "inf"), marked = finite.filter(has);
  if (!marked.length) return null;
  const fits = mark => marked.filter(part => !Number.isNaN(valueOf(part, mark))).length;
  if (fits(".") !== fits(",")) return {mark: fits(".") > fits(",") ? "." : ",", sure: true};
  const plain = finite.filter(part => !has(part)).map(part => valueOf(part, "."));
  if (!plain.length) return {mark: ".", sure: false};
  const all = sign => marked.every(part => part.digits.includes(sign));
  if (highest(plain.map(Math.abs)) >= 1000) return {mark: all(",") ? "," : ".", sure: true};
  if (marked.some(part => part.digits.endsWith("0"))) return {mark: all(".") ? "," : ".", sure: false, spread: true};
  const spread = mark => {
    const sizes = [...plain, ...marked.map(part => valueOf(part, mark))].map(Math.abs).filter(size => size !== 0);
    return sizes.length ? Math.log(highest(sizes) / lowest(sizes)) : 0;
  };
  return {mark: spread(",") < spread(".") ? "," : ".", sure: false, spread: true};
}

const foldedUnit = unit => [...pieces(unit).join("").replaceAll("µ", "μ")].map(lower).join("").replace(/\.+$/, "");

/** Return the unit of most cells and its spellings; null if units differ. `units` counts them, `bare` cells without one. */
function commonUnit(units, bare) {
  const folded = new Map();
  for (const [unit, many] of units) folded.set(foldedUnit(unit), (folded.get(foldedUnit(unit)) ?? 0) + many);
  let flags = [...folded.keys()].filter(unit => FLAGS.has(unit));
  if (flags.length && 2 * sum(flags.map(unit => folded.get(unit))) < bare + sum(folded.values())) flags.forEach(unit => folded.delete(unit));
  else flags = [];
  if (!folded.size) return {unit: "", spellings: new Set(["", ...flags])};
  const best = largest(folded);
  if (folded.get(best) < 0.7 * sum(folded.values())) return null;
  const unit = largest([...units].filter(([name]) => foldedUnit(name) === best));
  return {unit, spellings: new Set([best, "", ...flags])};
}
