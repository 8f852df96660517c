// The first figure: choose a row of a table, see its prediction and reasons, edit and hide its cells.

const tablePart = (() => {
  const state = {table: null, text: "", row: null, cells: [], shown: [], order: [], result: null, full: null};
  let reading = null; // of the training rows without the chosen one

  /** Read a table and choose its first row to predict. */
  function open(text, target) {
    state.text = text;
    const table = tableOf(text, target);
    fillTargets(table);
    tell(table.error && say(table.error));
    find("#panes").hidden = Boolean(table.error);
    if (table.error) return Promise.resolve();
    state.table = table;
    return choose(Math.max(0, table.labels.findIndex(label => !label)));
  }

  function tell(problem) {
    find("#problem").textContent = problem || "";
    find("#problem").hidden = !problem;
  }

  function fillTargets({names = [], outcome}) {
    find("#target").replaceChildren(...names.map((name, j) =>
      element("option", {value: j, selected: j === outcome}, name)));
  }

  /** Explain a row: the model reads the other rows, then this one. */
  function choose(row) {
    const {columns} = state.table;
    Object.assign(state, {row, result: null, cells: columns.map(c => c.cells[row]), shown: columns.map(() => true)});
    state.order = columns.map((_, j) => j);
    reading = null;
    drawRows();
    return ask();
  }

  const ask = latest(async () => {
    try {
      const {table, row} = state, fresh = !reading;
      if (fresh) drawAnswer();
      const known = (reading ??= await taught(table, row));
      const visible = state.cells.map((cell, j) => (state.shown[j] ? cell : NaN));
      const result = await explained(table, known, visible);
      const all = state.shown.every(Boolean) ? result : await explained(table, known, state.cells);
      if (state.row !== row || state.table !== table) return;
      if (fresh) state.order.sort((a, b) => Math.abs(result.values[b]) - Math.abs(result.values[a]));
      Object.assign(state, {result, full: all.probability});
      drawAnswer();
    } catch (error) {
      tell(say("no_runtime", {reason: error.message}));
      throw error;
    }
  });

  function drawRows() {
    const {table, row} = state;
    if (!table) return;
    const head = element("tr", {}, element("th", {scope: "col"}, say("row")),
      element("th", {scope: "col"}, table.names[table.outcome]),
      ...table.columns.map(({name, numeric}) => element("th", {scope: "col", class: numeric ? "number" : null}, name)));
    const order = [...table.lines.keys()].sort((a, b) => Boolean(table.labels[a]) - Boolean(table.labels[b]) || a - b);
    const body = order.map(i => {
      const pick = element("button", {type: "button", "aria-label": say("explain_row", {row: i + 1}), "aria-pressed": i === row ? "true" : "false"}, i + 1);
      const label = table.labels[i] || element("em", {}, say("to_predict"));
      const kind = table.labels[i] ? `class${table.classes.indexOf(table.labels[i])}` : "";
      return element("tr", {class: i === row ? "chosen" : null, onclick: () => choose(i)},
        element("th", {scope: "row"}, pick), element("td", {class: kind}, label),
        ...table.columns.map(({j, numeric}) => element("td", {class: numeric ? "number" : null}, table.lines[i][j] ?? "")));
    });
    const kept = find("#rows").scrollTop, focus = document.activeElement?.closest?.("#rows button");
    find("#rows").replaceChildren(element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)));
    find("#rows").scrollTop = kept;
    if (focus) find("#rows .chosen button").focus({preventScroll: true});
  }

  function drawAnswer() {
    const {table, row, result} = state, place = find("#answer");
    if (!table) return;
    if (!result) return place.replaceChildren(element("p", {class: "wait"}, say("loading")));
    if (place.dataset.row !== `${row} ${language} ${state.text.length}` || !find(".reasons", place)) build(place);
    update(place);
  }

  /** Make the lines of the waterfall for a row; later results only move them, so that the focus stays. */
  function build(place) {
    const {table, row} = state, label = table.labels[row];
    place.dataset.row = `${row} ${language} ${state.text.length}`;
    const said = say("for_row", {row: row + 1}) + (label ? ` · ${say("known_is", {name: label})}` : "");
    const lines = state.order.map(j => line(j));
    place.replaceChildren(
      element("p", {class: "which"}, said),
      element("p", {class: "big"}, element("output", {class: "probability"}), element("span", {}, say("probability_of", {name: table.classes[1]}))),
      element("div", {class: "reasons"},
        end("start"), ...lines, end("end"), element("div", {class: "axis", "aria-hidden": "true"}, element("span"), element("div"), element("span"))),
      element("p", {class: "visible"}),
      element("button", {type: "button", class: "reset", onclick: () => choose(row)}, say("reset")));
  }

  const end = key => element("div", {class: `line ${key}`}, element("span", {class: "name"}, say(key)),
    element("div", {class: "track", "aria-hidden": "true"}, element("i", {class: "tick"})), element("span", {class: "much"}));

  function line(j) {
    const column = state.table.columns[j];
    const eye = element("button", {type: "button", class: "eye", onclick: () => {
      state.shown[j] = !state.shown[j];
      ask();
    }}, element("svg:svg", {viewBox: "0 0 18 14", "aria-hidden": "true"}, element("svg:path", {d: "M1 7q8-12 16 0q-8 12-16 0z"}),
      element("svg:circle", {cx: 9, cy: 7, r: 2.4}), element("svg:path", {class: "slash", d: "M3 13L15 1"})));
    return element("div", {class: "line cell", "data-column": j},
      element("span", {class: "name"}, eye, element("span", {title: column.name}, column.name)), editor(column, j),
      element("div", {class: "track", "aria-hidden": "true"}, element("i", {class: "bar"}), element("i", {class: "whisker"})),
      element("span", {class: "much"}));
  }

  function editor(column, j) {
    const label = say("value_of", {name: column.name}), value = state.cells[j];
    const change = event => {
      const text = event.target.value.trim();
      state.cells[j] = text === "" ? NaN : Number(text);
      ask();
    };
    if (column.numeric)
      return element("input", {type: "number", step: "any", value: Number.isNaN(value) ? "" : value, "aria-label": label, placeholder: say("missing"), oninput: change});
    const options = ["", ...column.levels].map((level, i) =>
      element("option", {value: i ? i - 1 : "", selected: i - 1 === value}, level || say("missing")));
    return element("select", {"aria-label": label, onchange: change}, ...options);
  }

  /** Move bars and numbers to the present result. */
  function update(place) {
    const {table, result, order, shown} = state, {base, values, errors, probability} = result;
    const reach = errors.map(error => RATIOS[89] * error); // the 90 % quantile
    let at = base;
    const from = order.map(j => [at, (at += values[j])]);
    const edges = order.flatMap((j, i) => [...from[i], from[i][1] - reach[j], from[i][1] + reach[j]]);
    const [low, high] = [Math.max(0, Math.min(base, ...edges) - 0.03), Math.min(1, Math.max(base, ...edges) + 0.03)];
    const x = p => `${clamp((100 * (p - low)) / (high - low), 0, 100)}%`;
    const span = (mark, a, b) => mark.setAttribute("style", `left:${x(Math.min(a, b))};right:calc(100% - ${x(Math.max(a, b))})`);
    find(".probability", place).textContent = percent(probability);
    order.forEach((j, i) => {
      const row = find(`[data-column="${j}"]`, place), name = table.columns[j].name, value = values[j];
      row.classList.toggle("off", !shown[j]);
      row.classList.toggle("up", value > 0);
      span(find(".bar", row), ...from[i]);
      span(find(".whisker", row), from[i][1] - reach[j], from[i][1] + reach[j]);
      const missing = Number.isNaN(state.cells[j]);
      find(".much", row).textContent = !shown[j] ? say("hidden") : missing ? say("missing") : `${points(value)} ± ${(100 * reach[j]).toFixed(1)}`;
      find(".eye", row).setAttribute("aria-label", say(shown[j] ? "hide" : "show", {name}));
      find(".eye", row).setAttribute("aria-pressed", String(!shown[j]));
    });
    for (const [key, p] of [["start", base], ["end", probability]]) {
      find(`.${key} .tick`, place).style.left = x(p);
      find(`.${key} .much`, place).textContent = percent(p);
    }
    find(".axis div", place).replaceChildren(element("span", {}, percent(low)), element("span", {}, percent(high)));
    const seen = shown.filter(Boolean).length, all = shown.length;
    find(".visible", place).textContent = seen === all ? say("all_seen", {all}) : say("seen", {seen, all, full: percent(state.full)});
  }

  async function openFile(file) {
    if (file) await open(await file.text());
  }

  function start(example) {
    const stage = find("#table .stage");
    find("#example").onclick = () => open(example);
    find("#file").onchange = event => openFile(event.target.files[0]);
    find("#target").onchange = event => open(state.text, Number(event.target.value));
    find("#paste").onclick = () => {
      find("#pasted").hidden = !find("#pasted").hidden;
      if (!find("#pasted").hidden) find("#text").focus();
    };
    find("#pasted").onsubmit = event => {
      event.preventDefault();
      find("#pasted").hidden = true;
      open(find("#text").value);
    };
    stage.ondragover = event => event.preventDefault();
    stage.ondrop = event => {
      event.preventDefault();
      openFile(event.dataTransfer.files[0]);
    };
    listeners.push(drawRows, drawAnswer);
    return open(example);
  }

  return {start, open, choose, ask, state};
})();
