// The outcome that is predicted: classes, or what forbids to predict it, decided from the column's cells as mapsto does.

const MOST_CLASSES = 10, RARE = 3; // rows of a class of numbers
const SPANS = [86400, 3600, 60, 1]; // a span of time is counted in days, hours, minutes or seconds

/** Return the label of each row ("" if there is none) and the sorted classes, or the key of a phrase. */
function classesOf(texts, habits) {
  const counted = counts(texts.filter(Boolean)), column = columnOf(counted, habits);
  if (column.kind === "date") return {error: "dates"};
  if (column.kind === "number" && !areClasses(texts, column)) return {error: "numbers"};
  const known = texts.map(text => (isUnknown(text) ? "" : text)), {labels, order} = numericLabels(known) ?? spelledLabels(known);
  const classes = [...new Set(labels.filter(Boolean))].sort(order);
  return {labels, classes, error: classes.length < 2 ? "one_class" : classes.length > MOST_CLASSES ? "many_classes" : null};
}

/** Return whether two different numbers, codes such as 01, or a few whole ones that are frequent stand for classes. */
function areClasses(texts, column) {
  const amounts = counts(amountsOf(texts, column).filter(number => !Number.isNaN(number))), different = amounts.size;
  const rare = [...amounts.values()].filter(many => many < Math.max(RARE, different)).length;
  const few = [...amounts.keys()].every(Number.isInteger) && different <= MOST_CLASSES && rare <= 1;
  return different <= 2 || few || texts.some(text => PADDED.test(text));
}

/** Return the numbers of the cells; a bound is the number itself. */
function amountsOf(texts, {read, style, decimal, shift}) {
  const bound = text => style === "plain" && !shift && partsOf(text)?.bound;
  const numbers = texts.map(text => (bound(text) && !Number.isNaN(read(text)) ? valueOf(partsOf(text), decimal) : read(text)));
  const there = numbers.filter(number => !Number.isNaN(number)).map(Math.abs), middle = there.length ? median(there) : 0;
  const size = style === "span" ? SPANS.find(size => middle >= size) ?? 1 : 1;
  return numbers.map(number => number / size + Number(shift ?? 0n));
}

/** Return whether a cell is no outcome; a word such as unknown is a class. */
function isUnknown(text) {
  const folded = fold(text);
  return !text || (LOST.has(folded) && folded !== "-" && !(KEPT.has(folded) && !SIGNS.has(folded)));
}

/** Return the labels of an outcome that holds numbers only, null if it holds others. */
function numericLabels(texts) {
  const present = texts.filter(text => text && text !== "-"), parts = present.map(partsOf);
  if (!present.length || parts.some(part => !part || part.bound || part.unit)) return null;
  if (present.some(text => text[0] === "0" && text.length > 1 && isCode(text))) return null; // 01 and 02 are codes
  const mark = decimalMark(parts)?.mark ?? ".", numbers = new Map(present.map((text, i) => [text, valueOf(parts[i], mark)]));
  if (![...numbers.values()].every(Number.isFinite)) return null;
  return {labels: texts.map(text => (numbers.has(text) ? written(numbers.get(text)) : "")), order: (a, b) => a - b};
}

/** Return the labels of an outcome of words, whose spellings are merged. */
function spelledLabels(texts) {
  const plus = texts.some(text => /^\++$/.test(text)), kept = texts.map(text => (text === "-" && !plus ? "" : text));
  const counted = counts(kept.filter(Boolean)), styles = new Map(), spelled = new Map();
  for (const [text, many] of counted) styles.set(styleOf(text), (styles.get(styleOf(text)) ?? 0) + many);
  const order = (a, b) => styles.get(styleOf(b)) - styles.get(styleOf(a)) || counted.get(b) - counted.get(a) || compare(a, b);
  for (const text of [...counted.keys()].sort(order)) if (!spelled.has(fold(text))) spelled.set(fold(text), text);
  return {labels: kept.map(text => text && spelled.get(fold(text))), order: compare};
}

/** Return whether a text is written in small letters, in capitals, or with a capital first in each word, as Python sees it. */
function styleOf(text) {
  const [upper, small] = [/[\p{Uppercase}\p{Lt}]/u.test(text), /\p{Lowercase}/u.test(text)];
  if (!upper) return small ? "small" : "mixed";
  if (!small) return /\p{Lt}/u.test(text) ? "title" : "capitals";
  const runs = text.match(/[\p{Uppercase}\p{Lt}\p{Lowercase}]+/gu);
  return runs.every(run => /^[\p{Uppercase}\p{Lt}]\p{Lowercase}*$/u.test(run)) ? "title" : "mixed";
}
