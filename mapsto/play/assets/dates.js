// Dates as people and programs write them, as days since 1970-01-01; times of day as hours, spans of time as seconds.

const [YEAR_FIRST, YEAR_LAST, DAY_NAME, NAME_DAY, MONTH, QUARTER, WEEKS, COMPACT, SERIAL, HOURS, SPAN] = [
  "YEAR_FIRST", "YEAR_LAST", "DAY_NAME", "NAME_DAY", "MONTH", "QUARTER", "WEEKS", "COMPACT", "SERIAL", "HOURS", "SPAN",
].map(name => whole("dates", name));
const SIGNED = part("dates", "SIGNED", "g"), PIVOT = 30; // 30 means 1930, 29 means 2029

/** Return the days since 1970-01-01 of a date, NaN if the text is none; a time zone is turned into UTC. */
function daysOf(text, dayFirst = true) {
  const even = pieces(text).join(" ").replace(SIGNED, "$1-$2-$3");
  let match;
  if ((match = YEAR_FIRST.exec(even))) return day(match[1], match[3], match[4], match.slice(5));
  if ((match = YEAR_LAST.exec(even))) {
    const [first, second] = dayFirst ? [match[1], match[3]] : [match[3], match[1]];
    return day(yearOf(match[4]), second, first, match.slice(5));
  }
  if ((match = DAY_NAME.exec(even))) return day(yearOf(match[3]), monthOf(match[2]), match[1], match.slice(4));
  if ((match = NAME_DAY.exec(even))) return day(match[3], monthOf(match[1]), match[2], match.slice(4));
  if ((match = MONTH.exec(even))) return day(match[1] ?? match[4] ?? match[6], match[2] ?? match[3] ?? monthOf(match[5]), "1");
  if ((match = QUARTER.exec(even))) return day(match[1] ?? match[4], String(3 * int(match[2] ?? match[3]) - 2), "1");
  return NaN;
}

/** Return the days since 1970-01-01 of a date written as eight digits, NaN if the text is none. */
function compactDays(text) {
  const match = COMPACT.exec(text);
  return match ? day(match[1] + match[2], match[3], match[4]) : NaN;
}

/** Return the days since 1970-01-01 of a day that a spreadsheet has numbered from 1900, NaN if the text is none. */
const serialDays = text => (SERIAL.test(text) ? float(text) - 25569 : NaN);

/** Return a time of day (or a duration) as hours, NaN if the text is none. */
function hoursOf(text) {
  const match = HOURS.exec(strip(text)), minute = match ? int(match[3]) : 0, second = match ? float((match[4] ?? "0").replace(",", ".")) : 0;
  if (!match || minute > 59 || second >= 60) return NaN;
  const hour = half(int(match[2]), match[5]) + minute / 60 + second / 3600;
  return match[1] ? -hour : hour;
}

/** Return weeks and days as midwives write them (38+2) in weeks, NaN if the text is none. */
function weeksOf(text) {
  const match = WEEKS.exec(strip(text));
  return match ? int(match[1]) + int(match[2]) / 7 : NaN;
}

/** Return a span of time as pandas writes it (1 days 02:00:00) in seconds, NaN if the text is none. */
function secondsOf(text) {
  const match = SPAN.exec(strip(text));
  if (!match) return NaN;
  const clock = 3600 * int(match[3] ?? "0") + 60 * int(match[4] ?? "0") + float(match[5] ?? "0");
  return 86400 * int(match[1]) + (match[2] === "-" ? -clock : clock);
}

/** Return the first two numbers, and the sign between them, of each date whose day or month comes first. */
function slashed(texts) {
  const matches = texts.map(text => YEAR_LAST.exec(pieces(text).join(" "))).filter(Boolean);
  return matches.map(match => [int(match[1]), int(match[3]), match[2]]);
}

function day(...[year, month, date, clock = []]) {
  const [y, m, d] = [year, month, date].map(int), midnight = new Date(Date.UTC(2000, m - 1, d));
  midnight.setUTCFullYear(y, m - 1, d);
  const exists = y >= 1 && y <= 9999 && midnight.getUTCMonth() === m - 1 && midnight.getUTCDate() === d;
  const seconds = clock[0] ? clockOf(clock) : 0, moment = midnight.getTime() / 864e5 + seconds / 86400;
  return exists && moment >= -719162 && moment < 2932897 ? moment : NaN; // of the years 1 to 9999
}

/** Return the seconds since midnight of a clock, in UTC; NaN if there is no such time. */
function clockOf([hour, minute, second, fraction, noon, zone]) {
  const [h, m, s] = [half(int(hour), noon), int(minute), int(second ?? "0")];
  const [sign, digits] = /^[+-]/.test(zone ?? "") ? [zone[0] === "-" ? -1 : 1, ascii(zone).slice(1).replace(":", "").padEnd(4, "0")] : [1, "0000"];
  const offset = sign * (60 * Number(digits.slice(0, 2)) + Number(digits.slice(2)));
  if (h > 23 || m > 59 || s > 59 || Math.abs(offset) >= 1440) return NaN;
  return 3600 * h + 60 * (m - offset) + s + Number(`0.${ascii(fraction ?? "0").slice(0, 6)}`);
}

function half(hour, noon) {
  if (!noon || noon === "Uhr") return hour;
  return (hour % 12) + (/^p/i.test(noon) ? 12 : 0);
}

const monthOf = name => String(WORDS.months[fold(name)] ?? 0);

function yearOf(digits) {
  const year = int(digits);
  return [...digits].length === 4 ? digits : String(year + (year >= PIVOT ? 1900 : 2000));
}
