// Columns of words: steps of a well-known scale in their order, else levels, the commonest first.

/** Return how to read well-known steps such as none, mild, severe; other words for a missing cell are missing. */
function steps({counted, rest}) {
  const all = [...counted.keys()], nothing = all.filter(text => !rest.has(text) && WORDS.nothing.includes(fold(text)));
  for (const texts of [all, [...rest.keys(), ...nothing], [...rest.keys()]]) {
    const places = scale([...new Set(texts.map(fold))]);
    if (places) return ordered(counted, texts, places);
  }
  return null;
}

function ordered(counted, texts, places) {
  const before = (a, b) => a.map((v, i) => (v === b[i] ? 0 : v - b[i])).find(Boolean) ?? 0;
  const order = [...places.keys()].sort((a, b) => before(places.get(a), places.get(b)));
  const common = commonestFirst(counted, texts), levels = order.map(step => common.find(text => fold(text) === step));
  const lost = new Set([...counted.keys()].filter(isMissing).map(fold).filter(text => !places.has(text)));
  return levelled(levels, lost);
}

/** Return how to read words: a well-known pair such as no and yes in its order, else the commonest first. */
function words(evidence) {
  const {rest, texts, total, most} = evidence;
  if (most(texts.filter(text => PAIR.test(text)))) return absent();
  if (texts.length > 1 && texts.every(text => TITRE.test(text))) return levelled([...texts].sort(natural), new Set());
  if (rest.size === total && total >= NAMES) return absent(); // names or identifiers
  return category(evidence);
}

/** A word for a missing number is a level here, unless other columns of the table use it for a missing number. */
function category({counted, rest, habits}) {
  const plus = [...counted.keys()].some(text => /^\++$/.test(text));
  const isLost = text => (SIGNS.has(fold(text)) && !(plus && text === "-")) || (habits.lost.has(fold(text)) && !KEPT.has(fold(text)));
  const lost = [...counted.keys()].filter(text => !rest.has(text) && isLost(text));
  const there = new Map([...counted].filter(([text]) => !lost.includes(text))), sizes = new Map(), spelled = new Map();
  for (const text of commonestFirst(there)) {
    const key = GENOTYPE.test(text) ? text : fold(text); // AA, Aa and aa are genotypes
    if (!spelled.has(key)) spelled.set(key, text);
    sizes.set(spelled.get(key), (sizes.get(spelled.get(key)) ?? 0) + there.get(text));
  }
  return levelled(pairOf([...sizes.keys()]) ?? commonestFirst(sizes), new Set(lost.map(fold)));
}

/** Return how to read levels: by their spelling, then by their folded spelling, as yes or no, or as numbers. */
function levelled(levels, lost) {
  const codes = new Map(levels.map((level, i) => [level, i])), [folded, numeric] = [fold, float].map(key => alone(levels, key));
  const read = text => {
    if (codes.has(text)) return codes.get(text);
    if (!text || lost.has(fold(text))) return NaN;
    return folded.get(fold(text)) ?? folded.get(BOOLEANS.get(fold(text))) ?? numeric.get(float(text)) ?? NaN;
  };
  return {kind: "category", levels, read};
}

/** Return the place of each key that belongs to one level only. */
function alone(levels, key) {
  const keys = levels.map(key), counted = counts(keys);
  return new Map(keys.map((k, i) => [k, i]).filter(([k]) => counted.get(k) === 1 && !Number.isNaN(k)));
}
