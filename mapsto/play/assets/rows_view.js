// The rows of a person's table beside the answer: a row is chosen there, and a teaching row deleted.

const FEWEST = 2; // teaching rows

/** Return functions that draw the rows of the table of `state`, and write the influence of one of them. */
function rowsView(state, choose, toggle) {
  let drawn = {}; // the table and the language of the rows that stand there
  const place = i => find(`#rows [data-row="${i}"]`);

  /** Bring the rows up to date; the same elements stay, so that a finger on them is not lost, nor the focus. */
  function drawRows() {
    if (!state.table) return;
    if (drawn.table !== state.table || drawn.language !== language) build(state.table);
    drawn = {table: state.table, language};
    for (const i of state.table.lines.keys()) update(i);
  }

  function build(table) {
    const head = (text, kind) => element("th", {scope: "col", class: kind === "number" ? "number" : null}, text);
    const names = [head(say("row")), head(table.names[table.outcome]), head(say("if_deleted")), ...table.columns.map(({name, kind}) => head(name, kind))];
    const order = [...table.lines.keys()].sort((a, b) => Boolean(table.labels[a]) - Boolean(table.labels[b]) || a - b);
    const {scrollTop, scrollLeft} = find("#rows"), body = element("tbody", {}, ...order.map(i => line(table, i)));
    find("#rows").replaceChildren(element("table", {}, element("thead", {}, element("tr", {}, ...names)), body));
    if (drawn.table === table) Object.assign(find("#rows"), {scrollTop, scrollLeft});
  }

  function line(table, i) {
    const onclick = event => {
      event.stopPropagation();
      toggle(i);
    };
    const pick = element("button", {type: "button", class: "pick", "aria-label": say("explain_row", {row: table.lines[i]})}, table.lines[i]);
    const own = table.teaching.includes(i) ? [element("button", {type: "button", class: "delete", onclick}), element("em", {}, say("not_teaching"))] : [];
    return element("tr", {"data-row": i, onclick: () => choose(i)}, element("th", {scope: "row"}, pick), element("td"), element("td", {class: "number"}, ...own),
      ...table.columns.map(({texts, kind}) => element("td", {class: kind === "number" ? "number" : null}, texts[i])));
  }

  function update(i) {
    const {row, table} = state, part = place(i);
    part.className = i === row ? "chosen" : state.deleted.has(i) ? "gone" : "";
    find(".pick", part).setAttribute("aria-pressed", String(i === row));
    find("td", part).replaceWith(outcomeOf(i));
    if (!table.teaching.includes(i)) return;
    find(".number em", part).hidden = i !== row;
    drawInfluence(i);
  }

  /** Write on the button that deletes a row by how much the probability of the class in question then changes. */
  function drawInfluence(i) {
    const {table, row, about, deleted} = state, button = find(".delete", place(i)), gone = deleted.has(i);
    const change = state.influence.get(i)?.[about], values = {row: table.lines[i], name: table.classes[about], much: change === undefined ? "…" : points(change)};
    const rest = table.teaching.filter(j => j !== row && !deleted.has(j)).length;
    button.textContent = gone ? say("deleted") : values.much;
    button.setAttribute("aria-label", gone ? say("use_row", values) : say("delete_row", values));
    button.setAttribute("aria-pressed", String(gone));
    button.classList.toggle("up", change > 0);
    button.hidden = i === row;
    button.disabled = !gone && rest <= FEWEST;
  }

  /** Return the cell of a row's outcome: its class, or the model's guess. */
  function outcomeOf(i) {
    const {table, about, guesses} = state, label = table.labels[i], guessed = guesses.get(i);
    if (label) return element("td", {class: table.classes[about] === label ? "of this" : "of"}, label);
    if (!guessed) return element("td", {}, element("em", {}, say("to_predict")));
    const c = likeliest(guessed), kind = c === about ? "of guess this" : "of guess";
    return element("td", {class: kind}, element("em", {}, element("b", {}, table.classes[c]), ` ${percent(guessed[c])}`));
  }

  return {drawRows, drawInfluence};
}
