import type { Reporter } from '../types.js';
import { bytes, count, time } from './numbers.js';

export type Progress = Parameters<Reporter['progress']>[0];

/** One line: `1,204,331 records · 152,000/s · 356 MB · 3 of 12 streams · 4 min 10 s left`, or `… · 16 kB and 0.4 s behind`. */
export function progressLine({ records, bytes: size, seconds, streamsDone, streamsTotal, estimatedRecords, lag }: Progress): string {
  const rate = seconds > 0 ? records / seconds : 0;
  const parts = [`${count(records)} records`, `${count(rate)}/s`, bytes(size), `${streamsDone} of ${streamsTotal} streams`];
  // An estimate that is already passed says nothing about what is left; nor does a rate of the first instant.
  if (estimatedRecords !== undefined && estimatedRecords > records && rate > 0 && seconds >= 2) {
    parts.push(`about ${time((estimatedRecords - records) / rate)} left`);
  } else parts.push(time(seconds));
  const behind = [...(lag?.bytes === undefined ? [] : [bytes(lag.bytes)]), ...(lag?.seconds === undefined ? [] : [`${lag.seconds < 60 ? lag.seconds.toFixed(1) + ' s' : time(lag.seconds)}`])];
  if (behind.length > 0) parts.push(`${behind.join(' and ')} behind`);
  return parts.join(' · ');
}
