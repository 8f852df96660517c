// The second figure: five characters drawn once each, a sixth drawing, its classes, patches and teaching examples.

const charactersPart = (() => {
  const NAMES = ["A", "B", "C", "D", "E"], WAYS = NAMES.length;
  const state = {kept: NAMES.map(() => true), chosen: null, result: null, turn: 0};
  let teachers = [], sixth = null;

  /** Return the answer: probabilities, the values of the patches by class, and the trust; null if a square is empty. */
  async function answer() {
    const kept = state.kept.map((k, i) => k && teachers[i].strokes.length > 0);
    if (!sixth.strokes.length || kept.filter(Boolean).length < 2) return null;
    const support = new Float32Array(WAYS * SIDE * SIDE);
    teachers.forEach((pad, i) => support.set(raster(pad.strokes), i * SIDE * SIDE));
    const w = Float32Array.from(kept, k => (k ? 1 / kept.filter(Boolean).length : 0));
    const out = await run(imageGraph, {
      support: ["float32", support, [WAYS, 1, SIDE, SIDE]], w: ["float32", w, [WAYS]],
      x: ["float32", raster(sixth.strokes), [1, 1, SIDE, SIDE]],
    });
    const values = Array.from({length: GRID * GRID}, (_, p) => [...out.values.data.slice(p * WAYS, (p + 1) * WAYS)]);
    return {kept, probabilities: [...out.probabilities.data], values, base: [...out.base.data], trust: out.trust.data[0]};
  }

  const ask = latest(async () => {
    try {
      state.result = await answer();
      const {result} = state;
      if (result) state.chosen = result.probabilities.indexOf(Math.max(...result.probabilities));
      draw();
    } catch (error) {
      find("#classes").replaceChildren(element("p", {class: "problem"}, say("no_runtime", {reason: error.message})));
      throw error;
    }
  });

  /** Return the probabilities without one example: the only one of its class, so the others share what it had. */
  function without({probabilities}, i) {
    return probabilities.map((p, c) => (c === i ? 0 : p / (1 - probabilities[i])));
  }

  function draw() {
    drawTeachers();
    drawPatches();
    drawClasses();
  }

  function drawTeachers() {
    NAMES.forEach((name, i) => {
      const card = find(`[data-teacher="${i}"]`), {result, kept} = state, others = result?.kept.filter((k, c) => k && c !== i).length;
      card.classList.toggle("off", !kept[i]);
      find(".leave", card).textContent = say(kept[i] ? "leave_out" : "use_again");
      find(".leave", card).setAttribute("aria-pressed", String(!kept[i]));
      const rest = result?.kept[i] && others > 1 && without(result, i);
      const best = rest && rest.indexOf(Math.max(...rest));
      find(".else", card).textContent = rest ? say("without_it", {name: NAMES[best], p: percent(rest[best])}) : "";
    });
  }

  function drawPatches() {
    const place = find("#sixth .patches"), {result, chosen} = state;
    const most = result && Math.max(0.02, ...result.values.map(v => Math.abs(v[chosen])));
    place.replaceChildren(...(result ? result.values : []).map(v => element("i", {
      class: v[chosen] > 0 ? "up" : "down", style: `--much:${(Math.abs(v[chosen]) / most).toFixed(3)}`,
    }, Math.abs(v[chosen]) < 0.005 ? null : element("b", {}, points(v[chosen])))));
    find("#sixth .said").textContent = result ? say("patches_for", {name: NAMES[chosen]}) : "";
  }

  function drawClasses() {
    const {result, chosen} = state, place = find("#classes");
    if (!result) {
      const drawn = sixth.strokes.length && teachers.every(pad => pad.strokes.length);
      return place.replaceChildren(element("p", {class: "wait"}, say(drawn ? "two_needed" : "draw_all")));
    }
    const focus = document.activeElement?.dataset?.class;
    const bars = NAMES.map((name, c) => element("button", {
      type: "button", class: "class", "data-class": c, "aria-pressed": String(c === chosen), disabled: !result.kept[c],
      onclick: () => {
        state.chosen = c;
        draw();
      },
    }, picture(c), element("b", {}, name), element("span", {class: "track"}, element("i", {style: `width:${100 * result.probabilities[c]}%`})),
      element("output", {}, percent(result.probabilities[c]))));
    place.replaceChildren(...bars, element("p", {class: "trust"}, say("trust", {p: percent(result.trust)})));
    if (focus != null) find(`[data-class="${focus}"]`, place)?.focus();
  }

  function picture(c) {
    const canvas = element("canvas", {width: 88, height: 88, "aria-hidden": "true"});
    ink(canvas.getContext("2d"), teachers[c].strokes, 88, getComputedStyle(document.body).color);
    return canvas;
  }

  function set(drawings) {
    [...teachers, sixth].forEach((pad, i) => pad.set(drawings[i]));
    state.kept.fill(true);
    return ask();
  }

  /** Draw five characters, and one of them again in another hand. */
  function drawForMe() {
    const turn = state.turn++, which = (3 + 2 * turn) % WAYS;
    const all = GLYPHS.map((glyph, i) => byAnotherHand(glyph, 10 * turn + i + 1));
    return set([...all, byAnotherHand(GLYPHS[which], 10 * turn + 7)]);
  }

  function build() {
    teachers = NAMES.map(name => drawingPad(say("example_of", {name}), ask));
    sixth = drawingPad(say("new_drawing"), ask);
    find("#teachers").replaceChildren(...teachers.map((pad, i) => element("div", {class: "teacher", "data-teacher": i},
      element("div", {class: "pad"}, pad.canvas), element("b", {}, NAMES[i]), eraser(pad),
      element("button", {type: "button", class: "leave", onclick: () => {
        state.kept[i] = !state.kept[i];
        ask();
      }}), element("small", {class: "else"}))));
    find("#sixth").replaceChildren(
      element("div", {class: "pad"}, sixth.canvas, element("div", {class: "patches", "aria-hidden": "true"})),
      element("div", {class: "under"}, element("b", {"data-say": "new_drawing"}), eraser(sixth)), element("p", {class: "said"}));
  }

  const eraser = pad => element("button", {type: "button", class: "erase", "data-say": "erase", onclick: () => {
    pad.set([]);
    ask();
  }});

  function start() {
    build();
    find("#draw").onclick = drawForMe;
    find("#clear").onclick = () => set([...teachers, sixth].map(() => []));
    listeners.push(() => {
      teachers.forEach((pad, i) => pad.canvas.setAttribute("aria-label", say("example_of", {name: NAMES[i]})));
      sixth.canvas.setAttribute("aria-label", say("new_drawing"));
      draw();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      [...teachers, sixth].forEach(pad => pad.show());
      draw();
    });
  }

  return {start, set, drawForMe, ask, state, raster: i => [...raster([...teachers, sixth][i].strokes)]};
})();
