// One column of a person's table: whether its cells are numbers, dates, steps of a scale or words, decided as mapsto does.

const WORDS = JSON.parse(document.getElementById("words").textContent); // lists of mapsto.tables.words
const [LOST, SIGNS, KEPT] = [new Set([...WORDS.signs, ...WORDS.words]), new Set(WORDS.signs), new Set(WORDS.kept)];
const STRAY = 0.1, MANY = 10, NAMES = 10;
const FLAGS = new Set(["h", "l", "hh", "ll", "*", "**", "!", "!!", "(h)", "(l)", "↑", "↓", "(*)"]);
const ROMAN = ["i", "ii", "iii", "iv", "v", "vi", "vii"];
const GRADE = /^(grade|stage|grad|stadium|stufe|level|class|klasse|nyha|asa|killip|ecog|ckd|ccs|who|g|t|n|tnm)[ .-]*(\d|i{1,3}|iv|vi{0,2})([abc]?)$/;
const RANGE = /^[[(]\s*(-?\d+(?:[.,]\d+)?)\s*[,;]\s*(-?\d+(?:[.,]\d+)?)\s*[\])]$|^[[(]?(-?\d+(?:[.,]\d+)?)\s*(?:-|–|—|to|bis|\.\.)\s*(-?\d+(?:[.,]\d+)?)[\])]?(?: ?\w{1,6})?$/;
const OPEN = /^(?:(<|<=|≤|under|unter|below|bis)\s*(-?\d+(?:[.,]\d+)?)|(>|>=|≥|over|über|ab|above)\s*(-?\d+(?:[.,]\d+)?)|(\d+)\s*\+)(?: ?\w{1,6})?$/;
const BARE = /^\d+(?:[.,]\d+)?$/;
const PAIR = /^\d+(?:[.,]\d+)?\s*\/\s*\d+(?:[.,]\d+)?(\s?mm\s?hg)?$/i;

/** Return whether a text stands for a missing number or date. */
const isMissing = text => !text || LOST.has(fold(text)) || /^0{4}[-/.]00[-/.]00|^00[-/.]00[-/.]0{4}$/.test(text);

/** Return how each column is read: {kind, levels, read}, where `read` turns a cell into a number, NaN if it is missing. */
function columnsOf(texts, hint) {
  const habits = {decimal: usualMark(texts, hint), lost: new Set()};
  const first = texts.map(cells => columnOf(cells, habits));
  first.forEach(({kind}, j) => {
    if (kind === "number" || kind === "date")
      for (const text of texts[j]) if (text && isMissing(text)) habits.lost.add(fold(text));
  });
  return first.map((column, j) => (column.kind === "category" && habits.lost.size ? columnOf(texts[j], habits) : column));
}

/** Return the decimal mark of most columns of which only one fits; else the one that the separator suggests. */
function usualMark(texts, hint) {
  const sure = [];
  for (const cells of texts.map(cells => [...new Set(cells.filter(Boolean))])) {
    const parts = cells.map(partsOf).filter(Boolean), mark = 2 * parts.length > cells.length && decimalMark(parts);
    if (mark?.sure) sure.push(mark.mark);
  }
  const commas = sure.filter(mark => mark === ",").length;
  return sure.length ? (2 * commas > sure.length || (2 * commas === sure.length && sure[0] === ",") ? "," : ".") : hint;
}

function columnOf(texts, habits) {
  const counted = counts(texts.filter(Boolean)), rest = new Map([...counted].filter(([text]) => !isMissing(text)));
  const total = [...rest.values()].reduce((a, b) => a + b, 0);
  const share = chosen => chosen.reduce((sum, text) => sum + rest.get(text), 0) / Math.max(total, 1);
  const most = chosen => rest.size > 0 && share(chosen) >= 1 - STRAY;
  const enough = chosen => chosen.length > 0 && (most(chosen) || (chosen.length >= MANY && share(chosen) > 2 / 3));
  const kept = new Set([...counted.keys()].map(fold).filter(text => KEPT.has(text)));
  if (!rest.size && kept.size < 2) return absent();
  return dates(rest, enough) ?? steps(counted, rest) ?? hours(rest, most) ?? numbers(rest, enough, habits) ?? words(counted, rest, habits, most);
}

const absent = () => ({kind: "absent", levels: [], read: () => NaN});
const reader = (kind, levels, read) => ({kind, levels, read: text => (text ? read(text) : NaN)});

function dates(rest, enough) {
  const texts = [...rest.keys()], compact = text => {
    const match = /^((?:19|20)\d{2})(\d{2})(\d{2})$/.exec(text);
    return match ? daysOf(`${match[1]}-${match[2]}-${match[3]}`) : NaN;
  };
  if (texts.length && texts.every(text => !Number.isNaN(compact(text)))) return reader("date", [], compact);
  const slashed = texts.map(text => YEAR_LAST.exec(text)).filter(match => match && match[2] !== ".");
  const above = place => slashed.filter(match => match[place] > 12).length;
  const first = !slashed.length || (above(1) === above(3) ? slashed[0][2] === "-" : above(1) > above(3));
  const read = text => daysOf(text, first);
  return enough(texts.filter(text => !Number.isNaN(read(text)))) ? reader("date", [], read) : null;
}

function hours(rest, most) {
  return most([...rest.keys()].filter(text => !Number.isNaN(hoursOf(text)))) ? reader("number", [], hoursOf) : null;
}

function numbers(rest, enough, habits) {
  const parts = new Map([...rest.keys()].map(text => [text, partsOf(text)]).filter(([, part]) => part));
  const padded = [...parts.values()].some(part => /^0\d+$/.test(part.digits));
  if (!parts.size || (padded && parts.size < rest.size)) return null; // 01, 02, A1 are codes
  const spellings = unitOf(parts, rest);
  if (!spellings) return null;
  const mark = decimalMark([...parts.values()]);
  const decimal = !mark ? habits.decimal ?? "." : mark.sure || mark.spread ? mark.mark : habits.decimal ?? mark.mark;
  const measured = [...parts.values()].filter(part => !part.bound);
  const seen = (measured.length ? measured : [...parts.values()]).map(part => valueOf(part, decimal)).filter(Number.isFinite);
  const [low, high] = [Math.min(...seen), Math.max(...seen)];
  const read = text => {
    const part = isMissing(text) ? null : partsOf(text);
    if (!part || !spellings.has(foldedUnit(part.unit))) return NaN;
    const value = valueOf(part, decimal);
    return part.bound && Number.isFinite(value) ? beyond(value, part.bound, low, high) : value;
  };
  return enough([...rest.keys()].filter(text => !Number.isNaN(read(text)))) ? reader("number", [], read) : null;
}

/** Place a bound such as <5 below every number that was seen, and >5 above. */
function beyond(value, bound, low, high) {
  const step = (high - low) / 20 || Math.abs(high) / 20 || 1, least = Math.min(value, low);
  if (bound > 0) return Math.max(value, high) + step;
  return least > 0 ? least / 2 : least - step;
}

const foldedUnit = unit => unit.replace(/\s+/g, "").replaceAll("µ", "μ").toLowerCase().replace(/\.+$/, "");

/** Return the spellings of the unit of most cells, and of none; null if units differ. */
function unitOf(parts, rest) {
  const units = new Map();
  let bare = 0;
  for (const [text, {unit}] of parts) {
    const folded = foldedUnit(unit), many = rest.get(text);
    if (folded) units.set(folded, (units.get(folded) ?? 0) + many);
    else bare += many;
  }
  const total = () => [...units.values()].reduce((a, b) => a + b, 0);
  const flags = [...units.keys()].filter(unit => FLAGS.has(unit));
  const flagged = flags.reduce((sum, unit) => sum + units.get(unit), 0);
  const rare = flags.length > 0 && 2 * flagged < bare + total();
  if (rare) flags.forEach(unit => units.delete(unit));
  const spellings = new Set(["", ...(rare ? flags : [])]);
  if (!units.size) return spellings;
  const [best, many] = [...units].reduce((a, b) => (b[1] > a[1] ? b : a));
  return many < 0.7 * total() ? null : spellings.add(best);
}

/** Return how to read well-known steps such as none, mild, severe; other words for a missing cell are missing. */
function steps(counted, rest) {
  const nothing = [...counted.keys()].filter(text => isMissing(text) && ["none", "nil", "-", "无"].includes(fold(text)));
  for (const texts of [[...counted.keys()], [...rest.keys(), ...nothing], [...rest.keys()]]) {
    const places = scale([...new Set(texts.map(fold))]);
    if (!places) continue;
    const order = [...new Set(places.keys())].sort((a, b) => compare(places.get(a), places.get(b)));
    const levels = order.map(step => commonestFirst(counted).find(text => fold(text) === step));
    return reader("category", levels, text => (order.includes(fold(text)) ? order.indexOf(fold(text)) : NaN));
  }
  return null;
}

const compare = (a, b) => a.map((v, i) => v - b[i]).find(Boolean) ?? 0;

/** Return the place of each text on a well-known scale, among grades, ranges or numbered steps; null if there is none. */
function scale(texts) {
  if (texts.length < 2) return null;
  const known = WORDS.scales.find(steps => texts.every(text => steps.includes(text)));
  const placed = place => (texts.every(text => place(text)) ? new Map(texts.map(text => [text, place(text)])) : null);
  if (known) return placed(text => [known.indexOf(text)]);
  if (texts.every(text => ROMAN.includes(text))) return placed(text => [ROMAN.indexOf(text)]);
  const grades = texts.map(text => GRADE.exec(text));
  if (grades.every(Boolean) && new Set(grades.map(match => match[1])).size === 1)
    return placed(text => {
      const [, , step, letter] = GRADE.exec(text);
      return [ROMAN.includes(step) ? ROMAN.indexOf(step) + 1 : Number(step), letter ? letter.charCodeAt(0) : 0];
    });
  const closed = texts.filter(text => RANGE.test(text)).length, bare = texts.filter(text => BARE.test(text)).length;
  const numbered = text => [Number(/^(\d{1,2})\s*[-=:.)–]\s*\p{L}.*$/u.exec(text)?.[1] ?? NaN)];
  if (closed > bare && texts.every(ends)) return placed(ends);
  const at = texts.map(text => numbered(text)[0]);
  return at.every(Number.isFinite) && new Set(at).size === texts.length ? placed(numbered) : null;
}

function ends(text) {
  const number = digits => Number(digits.replace(",", ".")), range = RANGE.exec(text), open = OPEN.exec(text);
  if (range) {
    const [low, high] = range.slice(1).filter(Boolean).map(number);
    return !/^0\d/.test(text) && low <= high ? [low, high] : null;
  }
  if (open) return open[1] ? [-1e300, number(open[2])] : [number(open[4] ?? open[5]), 1e300];
  return BARE.test(text) ? [number(text), number(text)] : null;
}

/** Return how to read words: a well-known pair such as no and yes in its order, else the commonest first. */
function words(counted, rest, habits, most) {
  if (most([...rest.keys()].filter(text => PAIR.test(text)))) return absent();
  if (rest.size >= NAMES && [...rest.values()].every(many => many === 1)) return absent(); // names or identifiers
  const plus = [...counted.keys()].some(text => /^\++$/.test(text));
  const lost = text => (SIGNS.has(fold(text)) && !(plus && text === "-")) || (habits.lost.has(fold(text)) && !KEPT.has(fold(text)));
  const there = new Map([...counted].filter(([text]) => !lost(text))), spelled = new Map(), sizes = new Map();
  const key = text => (/^(\p{L})\1$/iu.test(text) ? text : fold(text)); // AA, Aa and aa are genotypes
  for (const text of commonestFirst(there)) {
    if (!spelled.has(key(text))) spelled.set(key(text), text);
    sizes.set(spelled.get(key(text)), (sizes.get(spelled.get(key(text))) ?? 0) + there.get(text));
  }
  const levels = pairOf([...sizes.keys()]) ?? commonestFirst(sizes);
  return reader("category", levels, text => (spelled.has(key(text)) ? levels.indexOf(spelled.get(key(text))) : NaN));
}

function pairOf(texts) {
  const pair = texts.length === 2 && WORDS.pairs.find(pair => texts.every(text => pair.includes(fold(text))) && fold(texts[0]) !== fold(texts[1]));
  return pair ? [...texts].sort((a, b) => pair.indexOf(fold(a)) - pair.indexOf(fold(b))) : null;
}

/** Return texts in the order of their frequency; equally frequent ones in the order of the numbers inside them. */
function commonestFirst(counted) {
  return [...counted.keys()].sort((a, b) => counted.get(b) - counted.get(a) || natural(a, b));
}

function natural(a, b) {
  const parts = text => text.match(/\d+|\D+/g) ?? [], [first, second] = [parts(a), parts(b)];
  const number = /^\d+$/;
  for (let i = 0; i < Math.min(first.length, second.length); i++) {
    const [p, q] = [first[i], second[i]], [m, n] = [number.test(p), number.test(q)];
    if (m !== n) return m ? -1 : 1;
    if (m ? Number(p) !== Number(q) : p !== q) return (m ? Number(p) < Number(q) : p < q) ? -1 : 1;
  }
  return first.length - second.length || (a < b ? -1 : Number(a > b));
}
