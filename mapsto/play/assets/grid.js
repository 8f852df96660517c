// A text as rows of cells: which sign separates the columns, and the number of the line on which each row begins.

const SEPARATORS = ["\t", ";", "|", ","]; // in this order if several fit equally well
const SAMPLE = 500, LONGEST = 131072; // rows from which the separator is chosen, letters of a cell
const [SEP_LINE, FORMULA] = [part("grid", "SEP_LINE", "y"), whole("grid", "FORMULA")];
const LINE = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/; // where Python's splitlines splits

/** Return the rows {line, cells} of a text and the sign that separates their cells; "" is an empty cell. */
function gridOf(text) {
  const first = SEP_LINE.exec(text), skipped = Number(Boolean(first)); // a first line that some spreadsheets write
  SEP_LINE.lastIndex = 0;
  const rest = first ? text.slice(first[0].length) : text;
  const separator = SEPARATORS.includes(first?.[1]) ? first[1] : separatorOf(rest);
  const even = separator === " " ? rest.split(/\r\n?|\n/).map(strip).join("\n") : rest;
  const quoted = singleQuotes(even, separator) ? {quote: "'", skip: false} : {quote: '"', skip: separator !== "\t"};
  const rows = split(even, {separator, strict: true, ...quoted});
  if (!rows) refuse("unreadable");
  return {separator, rows: rows.map(({line, cells}) => ({line: line + skipped, cells: cells.map(tidy)}))};
}

/** Return the rows of a text, read as Python's csv reader does; null if it refuses the text. */
function split(text, {separator, quote = '"', skip, strict = false}) {
  const rows = [];
  let cells = [], cell = "", state = "row", line = 1, begin = 1;
  const save = next => {
    cells.push(cell);
    [cell, state] = ["", next];
  };
  const close = () => {
    rows.push({line: begin, cells});
    [cells, state] = [[], "row"];
  };
  const add = letter => [cell, state] = [cell + letter, "cell"];
  for (let i = 0; i < text.length; i++) {
    const letter = text[i] === "\r" && text[i + 1] === "\n" ? "\r\n" : text[i], fresh = state === "row" || state === "start";
    i += letter.length - 1;
    if (/[\r\n]/.test(letter)) {
      line++;
      if (state === "quoted") cell += letter;
      else {
        if (state !== "row") save("row");
        close();
        begin = line;
      }
    } else if (state === "quoted" && letter === quote) state = "quote";
    else if (state === "quoted" || (state === "quote" && letter === quote)) [cell, state] = [cell + letter, "quoted"];
    else if (fresh && letter === quote) state = "quoted";
    else if (fresh && skip && letter === " ") state = "start";
    else if (letter === separator) save("start");
    else if (state === "quote" && strict) return null;
    else add(letter);
    if (cell.length > LONGEST) return null;
  }
  if (state === "quoted" && strict) return null;
  if (state !== "row") {
    save("row");
    close();
  }
  return rows;
}

/** Return the sign that divides the most rows into the same number of cells, at least two. */
function separatorOf(text) {
  const lines = linesOf(text).filter(line => strip(line) && !strip(line).startsWith("#")).slice(0, SAMPLE);
  const best = largest(SEPARATORS.map(sign => [sign, even(lines, sign)])), most = even(lines, best);
  if (most >= 0.5) return best;
  if (most === 0 && lines.length > 1 && even(lines.map(strip), " ") === 1) return " ";
  const inHeader = SEPARATORS.map(sign => [sign, (lines[0] ?? "").split(sign).length - 1]), sign = largest(inHeader);
  return inHeader.find(([name]) => name === sign)[1] ? sign : ",";
}

function linesOf(text) {
  const lines = text.split(LINE);
  return lines[lines.length - 1] ? lines : lines.slice(0, -1);
}

/** Return the share of rows that have the commonest number of cells; 0 if that is a single cell. */
function even(lines, separator) {
  const counted = counts((split(lines.join("\n"), {separator, skip: separator !== "\t"}) ?? []).map(({cells}) => cells.length));
  if (!counted.size) return 0;
  const [widths, many] = [[...counted.keys()], [...counted.values()]];
  if (separator === " " && widths.length === 2 && many.includes(1) && Math.abs(widths[0] - widths[1]) === 1) return 1; // R
  const [width, count] = [...counted].reduce((a, b) => (b[1] > a[1] || (b[1] === a[1] && b[0] > a[0]) ? b : a));
  return width > 1 ? count / sum(many) : 0;
}

/** Return whether cells are quoted by single quotation marks. */
function singleQuotes(text, separator) {
  const lines = linesOf(text).slice(1, SAMPLE).map(strip).filter(Boolean);
  const quoted = lines.filter(line => line[0] === "'" && line.endsWith("'") && (line.includes(`'${separator}'`) || [...line].length > 2));
  return !text.includes('"') && lines.length > 1 && quoted.length > 0.9 * lines.length;
}

/** Return a cell without blanks and a byte order mark; ="007" is how a spreadsheet keeps the zeros of 007. */
function tidy(cell) {
  const plain = strip(cell).replace(/^[\ufeff\x1a]+|[\ufeff\x1a]+$/g, "");
  return FORMULA.exec(plain)?.[1] ?? plain;
}
