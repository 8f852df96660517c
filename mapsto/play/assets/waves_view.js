// The third figure: points of a wave, and the curves of a network that adapts to them step by step.

const wavesPart = (() => {
  const [X, Y] = [5, 5.5], STEPS = 10, GRAIN = 121;
  const xs = Array.from({length: GRAIN}, (_, i) => -X + (2 * X * i) / (GRAIN - 1));
  const state = {points: [], wave: {amplitude: 3, phase: 1}, step: 0, seed: 5, cursor: 0};
  const plain = untrained(1);
  let trained = null, frames = [], others = [], clock = null, wide = 720, high = 340;

  const height = x => state.wave.amplitude * Math.sin(x - state.wave.phase);
  const across = x => ((x + X) / (2 * X)) * wide, down = y => ((Y - clamp(y, -Y, Y)) / (2 * Y)) * high;
  const path = ys => ys.map((y, i) => `${i ? "L" : "M"}${across(xs[i]).toFixed(1)} ${down(y).toFixed(1)}`).join("");
  const error = layers => {
    const ys = answers(layers, xs);
    return ys.reduce((sum, y, i) => sum + (y - height(xs[i])) ** 2, 0) / GRAIN;
  };

  /** Show the network five points, evenly spread but for a little chance. */
  function five() {
    const random = randomly(state.seed + 1000);
    state.points = [0, 1, 2, 3, 4].map(i => -X + 2 * X * ((i + 0.25 + random() / 2) / 5)).map(x => ({x, y: height(x)}));
    learn();
    play();
  }

  function learn() {
    frames = film(trained, state.points, STEPS);
    others = film(plain, state.points, STEPS);
    draw();
  }

  /** Show the network the point of the wave at `x`, or remove a point that is there. */
  function reveal(x) {
    const near = state.points.findIndex(point => Math.abs(point.x - x) < 0.15);
    if (near >= 0) state.points.splice(near, 1);
    else state.points.push({x, y: height(x)});
    learn();
    if (state.points.length >= 5 && near < 0 && state.step === 0) play();
  }

  function play() {
    clearInterval(clock);
    if (!state.points.length) return;
    go(0);
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (calm) return go(STEPS);
    clock = setInterval(() => {
      go(Math.min(state.step + 1, STEPS));
      if (state.step >= STEPS) clearInterval(clock);
    }, 320);
  }

  function go(step) {
    state.step = step;
    find("#steps").value = step;
    draw();
  }

  function renew() {
    const random = randomly(state.seed++);
    Object.assign(state, {wave: {amplitude: 1 + 4 * random(), phase: Math.PI * random()}, points: [], step: 0});
    clearInterval(clock);
    find("#steps").value = 0;
    learn();
  }

  function draw() {
    const {step, points} = state, line = (kind, ys) => element("svg:path", {class: kind, d: path(ys)});
    find("#step").textContent = step;
    const seen = points.length > 0;
    for (const name of ["#steps", "#play", "#no_points"]) find(name).disabled = !seen;
    find("#plot .invite").hidden = points.length > 4;
    find("#plot .invite span").textContent = say("click_points", {n: 5 - Math.min(points.length, 5)});
    const ghosts = seen ? frames.slice(1, step).map(layers => line("ghost", answers(layers, xs))) : [];
    const grid = [-4, -2, 0, 2, 4].flatMap(v => [
      element("svg:line", {class: "grid", x1: 0, x2: wide, y1: down(v), y2: down(v)}),
      element("svg:text", {x: 6, y: down(v) - 5}, String(v).replace("-", "−"))]);
    const svg = find("#plot svg");
    svg.setAttribute("viewBox", `0 0 ${wide} ${high}`);
    svg.replaceChildren(...grid, line("hidden", xs.map(height)), line("before", answers(frames[0], xs)), ...ghosts,
      ...(seen ? [line("untrained", answers(others[step], xs)), line("after", answers(frames[step], xs))] : []),
      ...points.map(({x, y}) => element("svg:circle", {cx: across(x), cy: down(y), r: 7})),
      ...(document.activeElement === svg ? [element("svg:line", {class: "cursor", x1: across(state.cursor), x2: across(state.cursor), y1: 0, y2: high})] : []));
    drawScores();
  }

  function drawScores() {
    const {step, points} = state, seen = points.length > 0, key = (kind, text) => element("span", {class: `key ${kind}`}, text);
    const one = (kind, name, layers) => element("div", {class: "score"}, key(kind, name), element("b", {}, layers ? error(layers).toFixed(2) : "–"));
    find("#scores").replaceChildren(
      element("div", {class: "score"}, key("points", say("legend_wave")), element("b", {}, `${points.length}`)),
      one("before", say("error_before"), frames[0]), one("after", say("error_after", {n: step}), seen && frames[step]),
      one("untrained", say("error_untrained"), seen && others[step]));
  }

  function start(layers) {
    trained = layers;
    const svg = element("svg:svg", {tabindex: 0, role: "application", "data-label": "plot"});
    // no click: the focus that comes before it draws the plot anew, and a finger's click is lost then
    let pressed = null;
    svg.addEventListener("pointerdown", event => (pressed = [event.clientX, event.clientY]));
    svg.addEventListener("pointerup", event => {
      const box = svg.getBoundingClientRect(), still = pressed && Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]) < 10;
      if (still) reveal(clamp(((event.clientX - box.left) / box.width) * 2 * X - X, -X, X));
      pressed = null;
    });
    svg.addEventListener("keydown", event => {
      const move = {ArrowLeft: -0.25, ArrowRight: 0.25}[event.key];
      if (!move && event.key !== "Enter") return;
      event.preventDefault();
      if (move) state.cursor = clamp(state.cursor + move, -X, X);
      else reveal(state.cursor);
      draw();
    });
    new ResizeObserver(([{contentRect}]) => {
      [wide, high] = [contentRect.width, contentRect.height];
      draw();
    }).observe(svg);
    for (const kind of ["focus", "blur"]) svg.addEventListener(kind, () => draw());
    find("#plot").replaceChildren(svg, element("p", {class: "invite"}, element("span")));
    find("#new_wave").onclick = renew;
    find("#no_points").onclick = () => {
      clearInterval(clock);
      Object.assign(state, {points: [], step: 0});
      find("#steps").value = 0;
      learn();
    };
    find("#play").onclick = play;
    find("#five").onclick = five;
    find("#steps").oninput = event => {
      clearInterval(clock);
      go(Number(event.target.value));
    };
    listeners.push(draw);
    renew();
  }

  return {start, reveal, go, state, answers: step => answers(frames[step], xs), xs};
})();
