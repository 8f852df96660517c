// The second figure: choose a row of a table, see its prediction and reasons, edit and hide its cells.

const tablePart = (() => {
  const AT_ONCE = 8, PAUSE = 300; // rows to predict; milliseconds before rows are explored
  const state = {table: null, text: "", problem: null, row: null, cells: [], shown: [], order: [], about: 0, result: null, full: null,
    guesses: new Map(), deleted: new Set(), influence: new Map()};
  const {drawRows, drawInfluence} = rowsView(state, choose, toggle);
  let reading = null; // what the model has read: the teaching rows without the deleted ones and the chosen one
  let whole = null; // the same without the deleted ones only
  let answers = 0, timer = null; // of the answers, only the last one is explored, after a pause
  let asks = 0; // counts the rows that were chosen, for which the waterfall is built anew

  /** Read a table and choose its first row to predict. */
  function open(text, target) {
    state.text = text;
    const table = tableOf(text, target);
    show(table);
    if (table.error) return Promise.resolve();
    Object.assign(state, {table, picked: positive(table), deleted: new Set()});
    forget();
    return choose(Math.max(0, table.labels.findIndex(label => !label)));
  }

  /** Show the columns that can be predicted, and what is wrong with a table. */
  function show(table) {
    fillTargets(table);
    tell(table.error);
    find("#panes").hidden = Boolean(table.error);
  }

  function tell(problem) {
    state.problem = problem;
    find("#problem").textContent = problem ? say(...problem) : "";
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
    asks++;
    drawRows();
    return ask();
  }

  /** Forget what the model has read, because other rows teach now. */
  function forget() {
    reading = whole = null;
    state.guesses = new Map();
  }

  /** Let a row teach no longer, or again. */
  function toggle(i) {
    if (!state.deleted.delete(i)) state.deleted.add(i);
    forget();
    return ask();
  }

  /** Undo all changes of the chosen row, and let every row teach again. */
  function reset() {
    state.deleted.clear();
    forget();
    return choose(state.row);
  }

  const visibleCells = () => state.cells.map((cell, j) => (state.shown[j] ? cell : NaN));

  const ask = latest(async () => {
    try {
      const {table, row} = state, fresh = !state.result, known = Boolean(table.labels[row]);
      answers++;
      clearTimeout(timer);
      state.influence = new Map();
      if (fresh) drawAnswer();
      const read = await (reading ??= known ? taught(table, new Set([...state.deleted, row])) : (whole ??= taught(table, state.deleted)));
      const visible = visibleCells();
      const [result] = await explained(table, read, [visible]);
      const [all] = state.shown.every(Boolean) ? [result] : await explained(table, read, [state.cells]);
      if (state.row !== row || state.table !== table) return;
      if (fresh) state.about = state.picked >= 0 ? state.picked : likeliest(result.probabilities);
      if (fresh) state.order.sort((a, b) => Math.abs(result.values[b][state.about]) - Math.abs(result.values[a][state.about]));
      Object.assign(state, {result, full: all.probabilities});
      drawRows();
      drawAnswer();
      if (!state.guesses.size) await guess(table);
      timer = setTimeout(explore, PAUSE);
    } catch (error) {
      tell(["no_runtime", {reason: error.message}]);
      throw error;
    }
  });

  /** Predict the rows without an outcome, some at a time. */
  async function guess(table) {
    const rows = [...table.lines.keys()].filter(i => !table.labels[i]), read = (whole ??= taught(table, state.deleted));
    for (let i = 0; i < rows.length && whole === read; i += AT_ONCE) {
      const some = rows.slice(i, i + AT_ONCE), cells = some.map(r => table.columns.map(column => column.cells[r]));
      const results = await explained(table, await read, cells);
      if (whole === read) results.forEach(({probabilities}, n) => state.guesses.set(some[n], probabilities));
    }
    drawRows();
  }

  /** Say by how much each teaching row has moved the present answer, one row at a time, until there is another answer. */
  async function explore() {
    const {table, row, deleted, result} = state, turn = ++answers;
    for await (const [i, change] of influences(table, new Set([...deleted, row]), visibleCells(), result.probabilities)) {
      if (turn !== answers) return;
      state.influence.set(i, change);
      drawInfluence(i);
    }
  }

  function drawAnswer() {
    const {table, result} = state, place = find("#answer");
    if (!table) return;
    if (!result) return place.replaceChildren(element("p", {class: "wait", role: "status"}, say("loading")));
    const key = `${asks} ${language}`;
    if (place.dataset.key !== key || !find(".reasons", place)) build(place);
    place.dataset.key = key;
    update(place);
  }

  /** Make the lines of the waterfall for a row; later results only move them, so that the focus stays. */
  function build(place) {
    const {table, row} = state, label = table.labels[row];
    const said = say("for_row", {row: table.lines[row]}) + (label ? ` · ${say("known_is", {name: label})}` : "");
    const axis = element("div", {class: "axis", "aria-hidden": "true"}, element("span"), element("div"), element("span"));
    place.replaceChildren(
      element("p", {class: "which"}, said),
      element("p", {class: "big", role: "status"}, element("output", {class: "probability"}), element("span", {class: "whose"})),
      element("div", {class: "chips", role: "group", "aria-label": say("classes")}, ...table.classes.map((_, c) => chip(c))),
      element("div", {class: "reasons"}, end("start"), ...state.order.map(line), end("end"), axis),
      element("div", {class: "visible"}, element("p"), element("button", {type: "button", class: "reset", onclick: reset}, say("reset"))));
  }

  const chip = c => element("button", {type: "button", "data-class": c, onclick: () => {
    Object.assign(state, {about: c, picked: c});
    drawRows();
    drawAnswer();
  }});

  const end = key => element("div", {class: `line ${key}`}, element("span", {class: "name"}, say(key)),
    element("div", {class: "track", "aria-hidden": "true"}, element("i", {class: "tick"}), key === "start" ? element("i", {class: "link"}) : null),
    element("span", {class: "much"}));

  function line(j) {
    const column = state.table.columns[j];
    const eye = element("button", {type: "button", class: "eye", onclick: () => {
      state.shown[j] = !state.shown[j];
      ask();
    }}, element("svg:svg", {viewBox: "0 0 18 14", "aria-hidden": "true"}, element("svg:path", {d: "M1 7q8-12 16 0q-8 12-16 0z"}),
      element("svg:circle", {cx: 9, cy: 7, r: 2.4}), element("svg:path", {class: "slash", d: "M3 13L15 1"})));
    return element("div", {class: "line cell", "data-column": j},
      element("span", {class: "name"}, eye, element("span", {title: column.name}, column.name)), editor(column, j),
      element("div", {class: "track", "aria-hidden": "true"}, element("i", {class: "link"}), element("i", {class: "span"}), element("i", {class: "whisker"})),
      element("span", {class: "much"}));
  }

  function editor(column, j) {
    const label = say("value_of", {name: column.name}), value = state.cells[j];
    if (column.levels.length) {
      const onchange = event => set(j, event.target.value === "" ? NaN : Number(event.target.value));
      const options = ["", ...column.levels].map((level, i) =>
        element("option", {value: i ? i - 1 : "", selected: i - 1 === value}, level || say("missing")));
      return element("select", {"aria-label": label, onchange}, ...options);
    }
    const oninput = ({target}) => {
      const read = column.read(target.value.trim()), number = Number.isFinite(read) ? read : NaN;
      target.setAttribute("aria-invalid", String(Number.isNaN(number) && target.value.trim() !== ""));
      set(j, number);
    };
    const text = Number.isNaN(value) ? "" : column.texts[state.row];
    return element("input", {type: "text", inputmode: "text", autocomplete: "off", spellcheck: "false", value: text, "aria-label": label, placeholder: say("missing"), oninput});
  }

  function set(j, number) {
    state.cells[j] = number;
    ask();
  }

  /** Move bars and numbers to the present result. */
  function update(place) {
    const {table, result, order, shown, about} = state, base = result.base[about], probability = result.probabilities[about];
    const values = result.values.map(v => v[about]), reach = result.errors.map(error => RATIOS[89] * error[about]); // the 90 % quantile
    let at = base;
    const from = order.map(j => [at, (at += values[j])]);
    const edges = order.flatMap((j, i) => [...from[i], from[i][1] - reach[j], from[i][1] + reach[j]]);
    const [low, high] = [Math.max(0, Math.min(base, ...edges) - 0.03), Math.min(1, Math.max(base, ...edges) + 0.03)];
    const x = p => `${clamp((100 * (p - low)) / (high - low), 0, 100)}%`;
    const span = (mark, a, b) => mark.setAttribute("style", `left:${x(Math.min(a, b))};right:calc(100% - ${x(Math.max(a, b))})`);
    find(".probability", place).textContent = percent(probability);
    find(".whose", place).textContent = say("probability_of", {name: table.classes[about]});
    table.classes.forEach((name, c) => {
      const button = find(`[data-class="${c}"]`, place);
      button.textContent = `${name} ${percent(result.probabilities[c])}`;
      button.setAttribute("aria-pressed", String(c === about));
    });
    order.forEach((j, i) => {
      const row = find(`[data-column="${j}"]`, place), name = table.columns[j].name, value = values[j];
      row.classList.toggle("off", !shown[j]);
      row.classList.toggle("up", value > 0);
      span(find(".span", row), ...from[i]);
      span(find(".whisker", row), from[i][1] - reach[j], from[i][1] + reach[j]);
      find(".link", row).style.left = x(from[i][1]);
      const missing = Number.isNaN(state.cells[j]);
      find(".much", row).textContent = !shown[j] ? say("hidden") : missing ? say("missing") : `${points(value)} ± ${(100 * reach[j]).toFixed(1)}`;
      find(".eye", row).setAttribute("aria-label", say(shown[j] ? "hide" : "show", {name}));
      find(".eye", row).setAttribute("aria-pressed", String(!shown[j]));
    });
    for (const [key, p] of [["start", base], ["end", probability]]) {
      find(`.${key} .tick`, place).style.left = x(p);
      find(`.${key} .much`, place).textContent = percent(p);
    }
    find(".start .link", place).style.left = x(base);
    find(".axis div", place).replaceChildren(element("span", {}, percent(low)), element("span", {}, percent(high)));
    const seen = shown.filter(Boolean).length, all = shown.length;
    find(".visible p", place).textContent = seen === all ? say("all_seen") : say("seen", {seen, all, full: percent(state.full[about])});
  }

  async function openFile(file) {
    if (!file) return;
    try {
      await open(await textOf(file));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      show({error: error.told});
    }
  }

  function start(example) {
    const stage = find("#table .stage"), over = on => stage.classList.toggle("over", on);
    find("#example").onclick = () => open(example);
    find("#file").onchange = ({target}) => openFile(target.files[0]).finally(() => (target.value = ""));
    find("#target").onchange = event => open(state.text, Number(event.target.value));
    find("#paste").onclick = () => {
      const hidden = (find("#pasted").hidden = !find("#pasted").hidden);
      find("#paste").setAttribute("aria-expanded", String(!hidden));
      if (!hidden) find("#text").focus();
    };
    find("#pasted").onsubmit = event => {
      event.preventDefault();
      find("#paste").click();
      open(find("#text").value);
    };
    stage.ondragover = event => {
      event.preventDefault();
      over(true);
    };
    stage.ondragleave = event => stage.contains(event.relatedTarget) || over(false);
    stage.ondrop = event => {
      event.preventDefault();
      over(false);
      openFile(event.dataTransfer.files[0]);
    };
    listeners.push(() => tell(state.problem), drawRows, drawAnswer);
  }

  /** Open the example, unless a person has opened a table in the meantime. */
  async function begin(example) {
    if (!state.text) await open(example);
  }

  return {start, begin, open, openFile, choose, ask, toggle, explore, state};
})();
