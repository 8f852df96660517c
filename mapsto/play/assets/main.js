// Start the three figures, the button that changes the language, and the licences that are unpacked when they are opened.

const MODELS = JSON.parse(document.getElementById("models").textContent);
const RATIOS = MODELS.ratios; // the quantiles 0.01 … 0.99 of an error divided by its prediction

listeners.push(() => {
  find("#language").textContent = language === "zh" ? "English" : "中文";
  find("#language").lang = language === "zh" ? "en" : "zh-Hans";
});
find("#language").onclick = () => {
  language = language === "zh" ? "en" : "zh";
  speak();
};
find("#licences").addEventListener("toggle", async ({target}) => {
  find("pre", target).textContent ||= new TextDecoder().decode(await bytes("notices"));
});

const EXAMPLE = document.getElementById("example.csv").textContent.trim();

charactersPart.start();
tablePart.start(EXAMPLE);
wavesPart.start(MODELS.wave);
speak();
// The model for images is unpacked first, because its figure is the first one; the table follows.
const ready = imageGraph().catch(() => {}).then(() => tablePart.begin(EXAMPLE));

globalThis.mapsto = {table: tablePart, characters: charactersPart, waves: wavesPart, ready, speak, tableOf, textOf};
