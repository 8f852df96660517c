// The first figure: five characters drawn once each, a sixth drawing, its classes, patches and teaching examples.

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
      if (state.result) state.chosen = likeliest(state.result.probabilities);
      draw();
    } catch (error) {
      find("#said").textContent = say("no_runtime", {reason: error.message});
      throw error;
    }
  });

  /** Return the probabilities without one example: the only one of its class, so the others share what it had. */
  function without({probabilities}, i) {
    const rest = probabilities.reduce((sum, p, c) => (c === i ? sum : sum + p), 0);
    return probabilities.map((p, c) => (c === i ? 0 : p / rest));
  }

  function draw() {
    NAMES.forEach((_, i) => drawTeacher(i));
    drawPatches();
    const {result, chosen} = state, drawn = sixth.strokes.length && state.kept.filter((k, i) => k && teachers[i].strokes.length).length < 2;
    const values = result && {best: NAMES[likeliest(result.probabilities)], p: percent(Math.max(...result.probabilities)), name: NAMES[chosen], trust: percent(result.trust)};
    find("#said").textContent = result ? say("answer_is", values) : say(drawn ? "two_needed" : "draw_one");
  }

  function drawTeacher(i) {
    const card = find(`[data-teacher="${i}"]`), {result, kept, chosen} = state, there = result?.kept[i], empty = !teachers[i].strokes.length;
    card.classList.toggle("off", !kept[i]);
    find(".leave", card).textContent = say(kept[i] ? "leave_out" : "use_again");
    find(".leave", card).setAttribute("aria-pressed", String(!kept[i]));
    for (const name of [".leave", ".erase"]) find(name, card).disabled = empty;
    const choice = find(".class", card), p = there ? result.probabilities[i] : 0;
    choice.disabled = !there;
    choice.setAttribute("aria-pressed", String(Boolean(there) && i === chosen));
    find("output", choice).textContent = there ? percent(p) : "–";
    find("i", choice).style.width = `${100 * p}%`;
    find(".else", card).replaceWith(deletion(i));
  }

  /** Return what the answer would be without an example: its most probable class, and a bar for each class. */
  function deletion(i) {
    const {result} = state, place = element("div", {class: "else"});
    if (!result?.kept[i] || result.kept.filter(Boolean).length < 3) return place;
    const rest = without(result, i), best = likeliest(rest);
    const bar = (p, c) => element("i", {class: c === i ? "gone" : c === best ? "best" : null, style: `height:${100 * p}%`});
    place.classList.toggle("turns", best !== likeliest(result.probabilities));
    place.append(say("without_it", {name: NAMES[i]}), element("div", {class: "mini", "aria-hidden": "true"}, ...rest.map(bar)),
      element("b", {}, element("span", {}, NAMES[best]), " ", element("span", {}, percent(rest[best]))));
    return place;
  }

  function drawPatches() {
    const place = find("#sixth .patches"), {result, chosen} = state;
    const most = result && Math.max(0.02, ...result.values.map(v => Math.abs(v[chosen])));
    place.replaceChildren(...(result ? result.values : []).map(v => element("i", {
      class: v[chosen] > 0 ? "up" : "down", style: `--much:${(Math.abs(v[chosen]) / most).toFixed(3)}`,
    }, Math.abs(v[chosen]) < 0.005 ? null : element("b", {}, points(v[chosen])))));
    find("#sixth .erase").disabled = !sixth.strokes.length;
  }

  function set(drawings) {
    [...teachers, sixth].forEach((pad, i) => pad.set(drawings[i]));
    state.kept.fill(true);
    return ask();
  }

  /** Draw one of the five characters again in another hand, and those of the five that are missing. */
  function drawForMe() {
    const turn = state.turn++, which = (3 + 2 * turn) % WAYS;
    const all = teachers.map(({strokes}, i) => (strokes.length ? strokes : byAnotherHand(GLYPHS[i], i + 1)));
    return set([...all, byAnotherHand(all[which], 10 * turn + 7)]);
  }

  function build() {
    teachers = NAMES.map(() => drawingPad(ask));
    sixth = drawingPad(ask);
    find("#teachers").replaceChildren(...teachers.map((pad, i) => element("div", {class: "teacher", "data-teacher": i}, pad.box,
      element("button", {type: "button", class: "class", onclick: () => {
        state.chosen = i;
        draw();
      }}, element("span", {}, element("b", {}, NAMES[i]), element("output", {}, "–")), element("span", {class: "track"}, element("i"))),
      element("div", {class: "else"}),
      element("div", {class: "under"}, eraser(pad), element("button", {type: "button", class: "leave quiet", onclick: () => {
        state.kept[i] = !state.kept[i];
        ask();
      }})))));
    sixth.box.append(element("div", {class: "patches", "aria-hidden": "true"}));
    find("#sixth").replaceChildren(sixth.box, element("div", {class: "under"}, element("b", {"data-say": "new_drawing"}), eraser(sixth)),
      element("p", {id: "said", role: "status"}));
  }

  const eraser = pad => element("button", {type: "button", class: "erase quiet", "data-say": "erase", onclick: () => {
    pad.set([]);
    ask();
  }});

  function name() {
    teachers.forEach((pad, i) => {
      pad.canvas.setAttribute("aria-label", say("example_of", {name: NAMES[i]}));
      pad.invite.textContent = NAMES[i];
      find(`[data-teacher="${i}"] .erase`).setAttribute("aria-label", say("erase_one", {name: NAMES[i]}));
    });
    sixth.canvas.setAttribute("aria-label", say("new_drawing_keys"));
    sixth.invite.textContent = say("draw_here");
    draw();
  }

  function start() {
    build();
    teachers.forEach((pad, i) => pad.set(byAnotherHand(GLYPHS[i], i + 1)));
    find("#draw").onclick = drawForMe;
    find("#clear").onclick = () => set([...teachers, sixth].map(() => []));
    listeners.push(name);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => [...teachers, sixth].forEach(pad => pad.show()));
  }

  return {start, set, drawForMe, ask, state, raster: i => [...raster([...teachers, sixth][i].strokes)]};
})();
