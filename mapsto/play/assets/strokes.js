// A square on which a person draws, and the 32 × 32 numbers that the model reads: ink from 0 to 1.

const SIDE = 32, GRID = 4, PEN = 0.066; // the pen's width in sides of the square

/** Draw strokes (lists of points in the unit square) on a canvas of so many pixels. */
function ink(context, strokes, size, colour) {
  Object.assign(context, {lineCap: "round", lineJoin: "round", lineWidth: PEN * size, strokeStyle: colour, fillStyle: colour});
  for (const stroke of strokes) {
    context.beginPath();
    context.moveTo(stroke[0][0] * size, stroke[0][1] * size);
    const middle = (a, b) => [((a[0] + b[0]) / 2) * size, ((a[1] + b[1]) / 2) * size];
    for (let i = 1; i < stroke.length - 1; i++)
      context.quadraticCurveTo(stroke[i][0] * size, stroke[i][1] * size, ...middle(stroke[i], stroke[i + 1]));
    const last = stroke[stroke.length - 1];
    context.lineTo(last[0] * size + (stroke.length === 1 ? 0.01 : 0), last[1] * size);
    context.stroke();
  }
}

/** Return strokes as the numbers that the model reads. */
function raster(strokes) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  const context = canvas.getContext("2d", {willReadFrequently: true});
  ink(context, strokes, SIDE, "#000");
  const dots = context.getImageData(0, 0, SIDE, SIDE).data;
  return Float32Array.from({length: SIDE * SIDE}, (_, i) => dots[4 * i + 3] / 255);
}

/** Return a square for drawing; `changed` is called after each stroke. Arrow keys move a pen, the space bar lowers it. */
function drawingPad(changed) {
  const canvas = element("canvas", {width: 320, height: 320, tabindex: 0, role: "application"});
  const invite = element("span", {class: "invite", "aria-hidden": "true"}); // says what to draw on an empty square
  const pad = {canvas, invite, strokes: [], box: element("div", {class: "pad"}, canvas, invite)};
  let pen = null, cursor = [0.5, 0.5], keyed = false;

  pad.show = () => {
    const context = canvas.getContext("2d"), style = getComputedStyle(canvas);
    context.clearRect(0, 0, 320, 320);
    ink(context, pad.strokes, 320, style.color);
    invite.hidden = pad.strokes.length > 0;
    if (keyed && document.activeElement === canvas) {
      Object.assign(context, {lineWidth: 3, strokeStyle: style.outlineColor});
      context.strokeRect(320 * cursor[0] - 7, 320 * cursor[1] - 7, 14, 14);
    }
  };
  pad.set = strokes => {
    pad.strokes = strokes;
    pad.show();
  };
  const at = event => {
    const box = canvas.getBoundingClientRect();
    return [clamp((event.clientX - box.left) / box.width, 0, 1), clamp((event.clientY - box.top) / box.height, 0, 1)];
  };
  const extend = point => {
    pen.push(point);
    pad.show();
  };
  const finish = () => {
    if (!pen) return;
    pen = null;
    changed();
  };
  const draw = event => extend(at(event));
  const lift = () => {
    document.removeEventListener("pointermove", draw);
    finish();
  };
  canvas.addEventListener("pointerdown", event => {
    keyed = false;
    pad.strokes.push((pen = []));
    draw(event);
    document.addEventListener("pointermove", draw);
    for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, lift, {once: true});
  });
  canvas.addEventListener("blur", () => {
    if (keyed) finish();
    pad.show();
  });
  canvas.addEventListener("keydown", event => {
    const move = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
    if (!move && event.key !== " ") return;
    event.preventDefault();
    keyed = true;
    if (!move && pen) finish();
    else if (!move) pad.strokes.push((pen = [[...cursor]]));
    else {
      cursor = cursor.map((c, i) => clamp(c + move[i] / 16, 0.04, 0.96));
      if (pen) pen.push([...cursor]);
    }
    pad.show();
  });
  return pad;
}

/** Return points along an arc, from one angle to another in turns. */
const arc = (x, y, rx, ry, from, to) => Array.from({length: 13}, (_, i) => {
  const turn = 2 * Math.PI * (from + ((to - from) * i) / 12);
  return [x + rx * Math.cos(turn), y + ry * Math.sin(turn)];
});

/** Five characters, as strokes. */
const GLYPHS = [
  [[[0.22, 0.8], [0.5, 0.18], [0.5, 0.18], [0.78, 0.8]], [[0.34, 0.56], [0.66, 0.56]]],
  [arc(0.5, 0.42, 0.24, 0.24, 0, 1), [[0.5, 0.66], [0.5, 0.88]]],
  [[[0.24, 0.2], [0.24, 0.2], [0.76, 0.2], [0.76, 0.2], [0.3, 0.5], [0.3, 0.5], [0.76, 0.8], [0.76, 0.8], [0.24, 0.8]]],
  [arc(0.5, 0.32, 0.26, 0.36, 0.5, 0), [[0.5, 0.16], [0.5, 0.86]]],
  [[[0.26, 0.18], [0.26, 0.82]], [[0.26, 0.5], [0.74, 0.2]], arc(0.6, 0.68, 0.14, 0.14, 0.5, 1.5)],
];

/** Return strokes turned, stretched and shifted a little, as another hand would draw them. */
function byAnotherHand(strokes, seed) {
  const random = randomly(seed), around = size => size * (2 * random() - 1);
  const [turn, wide, high, right, down] = [around(0.16), 1 + around(0.12), 1 + around(0.12), around(0.05), around(0.05)];
  return strokes.map(stroke => stroke.map(([x, y]) => {
    const [u, v] = [(x - 0.5) * wide, (y - 0.5) * high];
    const there = [u * Math.cos(turn) - v * Math.sin(turn) + right, u * Math.sin(turn) + v * Math.cos(turn) + down];
    return there.map(c => clamp(0.5 + c + around(0.008), 0.04, 0.96));
  }));
}
