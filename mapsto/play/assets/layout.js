// The table inside a grid of cells: titles, comments, units, sums, footers and empty rows around it are left out.

const [UNITS, RULE, ROW_NAMES] = [whole("layout", "UNITS"), whole("layout", "RULE"), whole("naming", "ROW_NAMES")];
const SEARCHED = 30; // rows in which the header is searched
const filled = row => row.cells.filter(Boolean);
const isNumber = text => partsOf(text) !== null;
const isValue = text => isNumber(text) || !Number.isNaN(daysOf(text));
const different = texts => new Set(texts).size;

/** Return the names of a text's columns, its rows {line, cells}, the units of a row below the names, and the separator. */
function layoutOf(text) {
  const {rows: grid, separator} = gridOf(text), width = widthOf(grid), rows = withoutComments(grid, width);
  const full = rows.filter(row => filled(row).length);
  if (!full.length) refuse("unreadable");
  const at = headerOf(full, width, separator), below = full.slice(at + 1);
  const names = rowNames(full[at].cells.map(name => pieces(name).join(" ")), below, separator);
  const least = names.findLastIndex(Boolean) + 1, body = withoutImportIds(cut(below, least, names.length));
  const {rows: measured, units} = withoutUnits(body, names);
  const kept = withoutSums(measured.filter(row => filled(row).length < 2 || row.cells.some((cell, j) => cell !== names[j])));
  const twice = names.find((name, j) => name && names.indexOf(name) < j);
  if (twice) refuse("twice", {name: twice});
  const columns = named(names, kept);
  if (!kept.length || !columns.length) refuse("unreadable");
  return {separator, units, names: columns.map(({name}) => name), rows: kept.map(({line, cells}) => ({line, cells: columns.map(({j}) => cells[j])}))};
}

/** Return the commonest number of cells of a row that is not empty; the larger of two equally common ones. */
function widthOf(rows) {
  const counted = [...counts(rows.filter(row => filled(row).length).map(row => row.cells.length))];
  return counted.length ? counted.reduce((a, b) => (b[1] > a[1] || (b[1] === a[1] && b[0] > a[0]) ? b : a))[0] : 0;
}

/** Leave out rows that begin with #, but keep a header whose names a # precedes, and rows below it with more cells. */
function withoutComments(rows, width) {
  let comments = rows.filter(row => filled(row).length && row.cells[0].startsWith("#"));
  if (!comments.length || comments.length > rows.length / 2) return rows;
  const first = rows.find(row => filled(row).length && !comments.includes(row)), last = comments.findLast(row => row.line < first?.line);
  if (last && width > 1 && filled(last).length === width && filled(first).some(isValue)) {
    comments = comments.filter(row => row !== last);
    last.cells[0] = last.cells[0].replace(/^[# ]+/, "");
  }
  const left = new Set(comments.filter(row => !(row.line > first?.line && filled(row).length > 1)));
  return rows.filter(row => !left.has(row));
}

/** Return the place of the row of column names; rows above it with few cells are titles. */
function headerOf(rows, width, separator) {
  for (const [place, row] of rows.slice(0, SEARCHED).entries()) {
    const rest = rows.slice(place), texts = filled(row);
    if ([";", ",", "|"].includes(separator) && (width === 2 ? isTitle(rest) : isShort(rest, width))) continue;
    if (texts.length > 2 && different(texts) === 1 && !isValue(texts[0])) continue; // one title in merged cells
    if (2 * texts.length >= width && (place === 0 || !texts.every(isValue))) return place + isHeading(rest, width);
  }
  return 0;
}

/** Return whether the first row is a phrase without a separator, above a table of two columns with numbers. */
function isTitle([first, ...others]) {
  const below = others.filter(row => row.cells.length > 1).slice(1);
  return first.cells.length === 1 && first.cells[0].includes(" ") && below.some(row => filled(row).some(isValue));
}

/** Return whether the first row has too few cells, and full rows of names and then of numbers follow soon. */
function isShort(rows, width) {
  const soon = rows.slice(1, 6);
  return rows[0].cells.length < width && soon.slice(1).some((below, i) =>
    filled(soon[i]).length === width && !filled(soon[i]).some(isValue) && filled(below).some(isValue));
}

/** Return whether the first row groups the columns that the second one names, above numbers or their units. */
function isHeading(rows, width) {
  if (rows.length < 3) return false;
  const [first, second, third, ...below] = rows, [above, texts] = [filled(first), filled(second)];
  const incomplete = above.length < width || different(above) < above.length;
  const names = texts.length === width && different(texts) === width && !texts.some(isValue);
  if (!incomplete || !names || second.cells.some(cell => UNITS.test(cell))) return false;
  const areUnits = third.cells.some((cell, j) => UNITS.test(cell) && mostlyNumbers(below.filter(row => j < row.cells.length).map(row => row.cells[j])));
  return filled(third).some(isValue) || areUnits;
}

/** R writes no name for a first column of row names. */
function rowNames(names, rows, separator) {
  const longer = rows.length && rows.every(row => row.cells.length === names.length + 1);
  return (separator === "\t" || separator === " ") && longer && names.every(Boolean) ? ["", ...names] : names;
}

/** Leave out footers, and refuse a row that was cut off, whose lost cells would pass for missing ones. */
function cut(below, least, width) {
  const rows = [...below], first = rows.map(row => row.cells[0]).filter(Boolean);
  const numeric = first.length > 2 && first.filter(isNumber).length > 0.7 * first.length;
  const phrases = rows.slice(0, -1).filter(({cells: [text]}) => !isValue(text) && /[ :]/.test(text)).length > 0.2 * (rows.length - 1);
  while (rows.length && isFooter(rows[rows.length - 1], least, numeric, phrases)) rows.pop();
  return rows.map(({line, cells}) => {
    if (cells.length < least || cells.slice(width).some(Boolean)) refuse("uneven", {row: line, cells: cells.length, names: least});
    return {line, cells: Array.from({length: width}, (_, j) => cells[j] ?? "")};
  });
}

/** Return whether a last row holds one text that is no cell of a patient. */
function isFooter(row, least, numeric, phrases) {
  const text = row.cells[0], legend = text.endsWith(":") && !filled(row).some(isValue);
  if (least < 2 || (filled(row).length !== 1 && !legend) || !text || isValue(text)) return false;
  if (legend) return !phrases;
  return (!phrases && /[ :=]/.test(text)) || row.cells.length < least || (numeric && /^\p{L}+$/u.test(text) && [...text].length > 2);
}

/** Leave out the row of column identifiers that Qualtrics writes in the third line. */
function withoutImportIds(rows) {
  const isOne = row => filled(row).length && filled(row).every(cell => cell.startsWith('{"ImportId"'));
  const at = rows.slice(0, 2).findIndex(isOne);
  return at < 0 ? rows : rows.toSpliced(at, 1);
}

/** Leave out a rule and a row of units below the column names; return the other rows, and the units of columns. */
function withoutUnits(all, names) {
  const ruled = all.length > 1 && filled(all[0]).length && filled(all[0]).every(cell => RULE.test(cell));
  const rows = ruled ? all.slice(1) : all, [first, ...rest] = rows;
  if (rows.length < 3 || filled(first).some(isValue)) return {rows, units: new Map()};
  const numeric = names.map((_, j) => mostlyNumbers(rest.map(row => row.cells[j])));
  const labels = first.cells.filter((cell, j) => cell && numeric[j] && !isMissing(cell));
  const others = first.cells.filter((cell, j) => cell && !numeric[j] && cell !== "-");
  const units = new Map(names.map((name, j) => [name, first.cells[j].replace(/^[()[\] ]+|[()[\] ]+$/g, ""), j])
    .filter(([, , j]) => numeric[j] && UNITS.test(first.cells[j])).map(pair => pair.slice(0, 2)));
  const below = new Set(rest.flatMap(row => row.cells));
  const are = labels.length && (units.size === labels.length || labels.length > 1) && !others.some(text => below.has(text));
  return are ? {rows: rest, units} : {rows, units: new Map()};
}

function mostlyNumbers(texts) {
  const there = texts.filter(text => text && !isMissing(text));
  return there.length > 0 && there.filter(isValue).length > 0.8 * there.length;
}

/** Return the places and names of columns, without empty ones and a first one that counts rows. */
function named(names, rows) {
  const columns = names.map((name, j) => ({j, name, cells: rows.map(row => row.cells[j]), nameless: !name || name.startsWith("Unnamed:")}));
  const kept = columns.filter(({j, name, cells, nameless}) =>
    !(nameless && !cells.some(Boolean)) && !(j === 0 && ROW_NAMES.test(name) && countsRows(cells, nameless)));
  return kept.map(({j, name, nameless}) => ({j, name: nameless ? `column ${j + 1}` : name}));
}

/** Return whether a first column names rows: all different, and counting up if the column has a name. */
function countsRows(cells, nameless) {
  if (!cells.every(isCode) || different(cells) < cells.length) return false;
  return nameless || (cells.length > 1 && cells.every((cell, i) => int(cell) === int(cells[0]) + i));
}
