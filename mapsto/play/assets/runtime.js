// The pretrained mappings, run by ONNX Runtime inside the page: nothing is fetched.

/** Return the bytes of a part of the page, which is written in base64 and compressed by gzip. */
async function bytes(id) {
  const letters = atob(document.getElementById(id).textContent), packed = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) packed[i] = letters.charCodeAt(i);
  return unpacked(packed);
}

/** Return the bytes that gzip has compressed. */
async function unpacked(packed) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const once = make => {
  let made = null;
  return () => (made ??= make());
};

const runtime = once(async () => {
  const url = URL.createObjectURL(new Blob([await bytes("ort.mjs")], {type: "text/javascript"}));
  const ort = await import(url);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.proxy = false;
  ort.env.wasm.wasmBinary = (await bytes("ort.wasm")).buffer;
  return ort;
});

/** Return a session of a graph whose weights are another part of the page. */
async function session(graph, weights) {
  const ort = await runtime();
  const externalData = [{path: "weights.bin", data: await weights()}];
  return ort.InferenceSession.create(await bytes(graph), {executionProviders: ["wasm"], externalData});
}

const tableWeights = once(() => bytes("tables.bin"));
const imageWeights = once(() => bytes("images.bin"));
const fitGraph = once(() => session("fit.onnx", tableWeights));
const explainGraph = once(() => session("explain.onnx", tableWeights));
const imageGraph = once(() => session("images.onnx", imageWeights));

let last = Promise.resolve(); // graphs run one at a time

/** Run a graph on inputs {name: [type, numbers, shape]} or tensors, and return its outputs by name. */
function run(graph, inputs) {
  const result = last.then(() => runNow(graph, inputs));
  last = result.catch(() => {});
  return result;
}

async function runNow(graph, inputs) {
  const ort = await runtime();
  const feeds = Object.entries(inputs).map(([name, value]) =>
    [name, Array.isArray(value) ? new ort.Tensor(...value) : value]);
  return (await graph()).run(Object.fromEntries(feeds));
}
