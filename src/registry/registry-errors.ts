import { type ErrorKind, TscError } from '../core/index.ts';
import type { HttpResponse } from './transport.ts';

const BODY_LIMIT = 64 << 10;

/** Kinds by status; first match wins. */
const KINDS: readonly {
  readonly matches: (status: number) => boolean;
  readonly kind: ErrorKind;
  readonly hint: string;
}[] = [
  {
    matches: (s) => s === 404,
    kind: 'not-found',
    hint: 'check the name and the tag; a private repository needs a login',
  },
  { matches: (s) => s === 401 || s === 403, kind: 'denied', hint: 'log in with a user who may read this repository' },
  { matches: (s) => s === 429, kind: 'exhausted', hint: 'the registry limits how often you may pull; log in or wait' },
  { matches: (s) => s >= 500 || s === 408, kind: 'unavailable', hint: 'the registry has trouble; try again later' },
  { matches: () => true, kind: 'failed', hint: "see the registry's message" },
];

/** The error for an answer that is no success; takes the registry's own words when it sent some. */
export async function responseError(response: HttpResponse, what: string): Promise<TscError> {
  const { kind, hint } = KINDS.find((row) => row.matches(response.status)) ?? { kind: 'failed', hint: '' };
  const words = readMessages(await readStart(response));
  const text = `${what}: ${response.url.host} answered ${response.status}${words === '' ? '' : ` (${words})`}`;
  return new TscError(`registry/${kind}`, text, hint === '' ? {} : { hint });
}

async function readStart(response: HttpResponse): Promise<string> {
  let text = '';
  try {
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
      text += chunk.toString('utf8');
      if (text.length > BODY_LIMIT) break;
    }
  } catch {
    // The status says enough.
  }
  return text;
}

/** `{"errors":[{"code","message"}]}` of the distribution protocol, as one line without control characters. */
function readMessages(text: string): string {
  try {
    const { errors } = JSON.parse(text) as { errors?: unknown };
    if (!Array.isArray(errors)) return '';
    return errors
      .slice(0, 3)
      .map((item: { code?: unknown; message?: unknown } | null) => String(item?.message ?? item?.code ?? ''))
      .join('; ')
      .replace(/[^\P{C}]/gu, ' ')
      .slice(0, 300);
  } catch {
    return '';
  }
}
