// The bytes of a file as text: gzip, byte order marks, UTF-8, UTF-16, and guesses for older encodings, as mapsto makes them.

const CONTROLS = /[\0-\x08\x0b\x0e-\x19\x1b-\x1f]/;

/** Return the text of a file. */
async function textOf(file) {
  let raw = new Uint8Array(await file.arrayBuffer());
  try {
    if (raw[0] === 0x1f && raw[1] === 0x8b) raw = await unpacked(raw);
  } catch {
    refuse("unreadable");
  }
  return decoded(raw);
}

function decoded(raw) {
  const latin = Array.from(raw.slice(0, 65536), byte => String.fromCharCode(byte)).join(""), wide = wideName(raw, latin);
  if (/^(\s*<(html|!doctype html|table)|\s*(\[\s*)?\{\s*"|%PDF-|PK\x03\x04)/i.test(latin)) refuse("unreadable");
  if (wide === "utf-32") return wideText(raw);
  if (wide) return strictly(raw, wide) ?? refuse("unreadable");
  if (CONTROLS.test(latin)) refuse("unreadable");
  return strictly(raw, "utf-8") ?? guessed(raw);
}

/** Return the encoding that a byte order mark names, or that has a zero in every second byte of most texts. */
function wideName(raw, latin) {
  if (/^(\xff\xfe\0\0|\0\0\xfe\xff)/.test(latin)) return "utf-32";
  if (/^(\xff\xfe|\xfe\xff)/.test(latin)) return latin[0] === "\xff" ? "utf-16le" : "utf-16be";
  const start = raw.slice(0, 4096), half = start.length / 2;
  if (start.length < 8 || raw.length % 2 || latin.startsWith("\xef\xbb\xbf")) return null;
  const zeros = [0, 1].map(first => start.filter((byte, i) => i % 2 === first && !byte).length / half);
  if (zeros[0] < 0.05 && zeros[1] > 0.7) return "utf-16le";
  return zeros[1] < 0.05 && zeros[0] > 0.7 ? "utf-16be" : null;
}

function wideText(raw) {
  const view = new DataView(raw.buffer, raw.byteOffset), little = raw[0] === 0xff, letters = [];
  try {
    for (let i = 4; i < raw.length; i += 4) letters.push(String.fromCodePoint(view.getUint32(i, little)));
  } catch {
    refuse("unreadable");
  }
  return letters.join("");
}

function strictly(raw, encoding) {
  try {
    return new TextDecoder(encoding, {fatal: true}).decode(raw);
  } catch {
    return null;
  }
}

/** Guess an older encoding from the runs of bytes above 127: those of Chinese text are even, Cyrillic words are long. */
function guessed(raw) {
  const text = Array.from(raw, byte => String.fromCharCode(byte)).join(""), runs = text.match(/[\x80-\xff]+/g), letters = runs.join("");
  const share = (from, fits) => [...from].filter(fits).length / from.length;
  const leads = runs.flatMap(run => [...run].filter((_, i) => i % 2 === 0)), chinese = strictly(raw, "gb18030");
  if (share(runs, run => run.length % 2 === 0) > 0.9 && share(leads, byte => byte >= "\xb0" && byte <= "\xd7") > 0.6 && chinese != null) return chinese;
  const japanese = /[\x81-\x9f]/.test(text) ? strictly(raw, "shift_jis") : null;
  if (japanese && (japanese.match(/[\u3040-\u30ff]/g) ?? []).length > 0.1 * runs.length) return japanese;
  const cyrillic = letters.length > 2.5 * runs.length && share(letters, byte => byte >= "\xc0") > 0.9;
  const decoded = new TextDecoder(cyrillic ? "windows-1251" : "windows-1252").decode(raw);
  return decoded.replace(cyrillic ? /\x98/g : /[\x81\x8d\x8f\x90\x9d]/g, "\ufffd"); // which Python does not know
}
