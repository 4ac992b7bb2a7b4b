import { constants } from 'node:os';
import { TscError } from '../../core/index.ts';

const REAL_TIME_FIRST = 34;
const REAL_TIME_LAST = 64;

/** Number of a signal given as `SIGTERM`, `term`, `15` or `RTMIN+3`. Throws `container/invalid`. */
export function parseSignal(text: string): number {
  const name = text.trim().toUpperCase().replace(/^SIG/, '');
  const numeric = /^\d{1,3}$/.test(name) ? Number(name) : (realTimeSignal(name) ?? signalByName(name));
  if (numeric === undefined || numeric < 1 || numeric > REAL_TIME_LAST) {
    throw new TscError('container/invalid', `invalid signal: ${text}`, {
      hint: 'a name such as SIGTERM, or its number',
    });
  }
  return numeric;
}

function signalByName(name: string): number | undefined {
  return Object.entries(constants.signals).find(([key]) => key === `SIG${name}`)?.[1];
}

function realTimeSignal(name: string): number | undefined {
  const match = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (!match) return undefined;
  const offset = Number(match[3] ?? 0) * (match[2] === '-' ? -1 : 1);
  return (match[1] === 'MIN' ? REAL_TIME_FIRST : REAL_TIME_LAST) + offset;
}
