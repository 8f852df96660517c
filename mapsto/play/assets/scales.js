// Well-known steps of one scale, ranges and grades, and well-known pairs such as no and yes.

const ROMAN = new Map(Object.entries(WORDS.roman));
const [STEP, RANGE, BARE, NUMBERED, OPEN] = ["STEP", "RANGE", "BARE", "NUMBERED", "OPEN"].map(name => whole("words", name));

/** Return the place of each folded text on a well-known scale, among grades, ranges or numbered steps; null if there is none. */
function scale(texts) {
  if (texts.length < 2) return null;
  const known = WORDS.scales.find(steps => texts.every(text => steps.includes(text)));
  if (known) return new Map(texts.map(text => [text, [known.indexOf(text)]]));
  return grades(texts) ?? ranges(texts) ?? numbered(texts);
}

/** Return the place of each grade: I, II, IIIa, or NYHA 2, stage IV, T1. */
function grades(texts) {
  if (texts.every(text => ROMAN.has(text))) return new Map(texts.map(text => [text, [ROMAN.get(text)]]));
  const matches = texts.map(text => STEP.exec(text));
  if (!matches.every(Boolean) || different(matches.map(match => match[1])) > 1) return null;
  return new Map(matches.map(([text, , step, letter]) => [text, [ROMAN.get(step) ?? int(step), letter ? letter.charCodeAt(0) : 0]]));
}

/** Return the lower and upper end of each range: 18-30, [0, 5), <18, 80+. */
function ranges(texts) {
  const count = pattern => texts.filter(text => pattern.test(text)).length, places = texts.map(ends);
  return places.every(Boolean) && count(RANGE) > count(BARE) ? new Map(texts.map((text, i) => [text, places[i]])) : null;
}

function ends(text) {
  const number = digits => float(digits.replace(",", ".")), range = RANGE.exec(text), open = OPEN.exec(text);
  if (range) {
    const [low, high] = range.slice(1).filter(Boolean).map(number);
    return !/^0\p{Nd}/u.test(text) && low <= high ? [low, high] : null; // else a telephone number or another code
  }
  if (open) return open[1] ? [-Infinity, number(open[2])] : [number(open[4] ?? open[5]), Infinity];
  return BARE.test(text) ? [number(text), number(text)] : null;
}

/** Return the place of each step that begins with its number, such as 1 - disagree, 2 - agree. */
function numbered(texts) {
  const matches = texts.map(text => NUMBERED.exec(text));
  if (!matches.every(Boolean) || different(matches.map(match => int(match[1]))) < texts.length) return null;
  return new Map(matches.map(([text, number]) => [text, [int(number)]]));
}

/** Return two texts in their order if they are a well-known pair; null otherwise. */
function pairOf(texts) {
  const folded = new Map(texts.map(text => [fold(text), text]));
  const pair = WORDS.pairs.find(words => folded.size === 2 && words.every(word => folded.has(word)));
  return pair ? pair.map(word => folded.get(word)) : null;
}
