/** Dates and times as the wire's text has them, for those few that travel as text. PostgreSQL's calendar is the Gregorian, all back. */

const lastInt32 = 0x7fff_ffff;
const lastInt64 = 2n ** 63n - 1n;
const dayMicros = 86_400_000_000n;

/** `days` since 2000-01-01; the greatest and the least number are the infinities. */
export function dateText(days: number): string {
  if (days === lastInt32) return 'infinity';
  if (days === -lastInt32 - 1) return '-infinity';
  const { text, era } = day(days);
  return `${text}${era}`;
}

/** `micros` since 2000-01-01; `zone` stands behind the time. */
export function timestampText(micros: bigint, zone: string): string {
  if (micros === lastInt64) return 'infinity';
  if (micros === -lastInt64 - 1n) return '-infinity';
  const within = ((micros % dayMicros) + dayMicros) % dayMicros;
  const { text, era } = day(Number((micros - within) / dayMicros));
  const seconds = Number(within / 1_000_000n);
  const fraction = Number(within % 1_000_000n);
  const clock = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map((part) => two(Math.floor(part))).join(':');
  return `${text}T${clock}${fraction === 0 ? '' : `.${String(fraction).padStart(6, '0').replace(/0+$/, '')}`}${zone}${era}`;
}

const two = (value: number): string => String(value).padStart(2, '0');

/** https://howardhinnant.github.io/date_algorithms.html#civil_from_days */
function day(since2000: number): { readonly text: string; readonly era: string } {
  const shifted = since2000 + 10_957 + 719_468;
  const cycle = Math.floor(shifted / 146_097);
  const ofCycle = shifted - cycle * 146_097;
  const yearOfCycle = Math.floor((ofCycle - Math.floor(ofCycle / 1460) + Math.floor(ofCycle / 36_524) - Math.floor(ofCycle / 146_096)) / 365);
  const ofYear = ofCycle - (365 * yearOfCycle + Math.floor(yearOfCycle / 4) - Math.floor(yearOfCycle / 100));
  const shiftedMonth = Math.floor((5 * ofYear + 2) / 153);
  const dayOfMonth = ofYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1;
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  const year = yearOfCycle + cycle * 400 + (month <= 2 ? 1 : 0);
  return { text: `${String(year > 0 ? year : 1 - year).padStart(4, '0')}-${two(month)}-${two(dayOfMonth)}`, era: year > 0 ? '' : ' BC' };
}
