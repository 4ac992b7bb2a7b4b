import type { Readable } from 'node:stream';
import { TscError } from '../core/index.ts';
import type { ApiRequest } from './http-message.ts';
import { WireObject } from './wire-object.ts';

/** Largest JSON body; streams (archives, contexts) are not read here. */
export const MAX_JSON_BODY = 4 << 20;
const MAX_DEPTH = 64;

/** The JSON object of a request; an absent body is an empty one. Throws `daemon/invalid`, or `daemon/exhausted` when too large. */
export async function readJsonBody(request: ApiRequest): Promise<WireObject> {
  const text = await readText(request.body, MAX_JSON_BODY);
  if (text.trim() === '') return new WireObject({}, 'body');
  const type = request.headers['content-type'] ?? '';
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    throw new TscError('daemon/invalid', `unsupported content type ${JSON.stringify(type.slice(0, 80))}`, {
      hint: 'send application/json',
    });
  }
  return WireObject.from(parseJson(text, 'the body'), 'body');
}

/** Parses JSON of limited depth. Throws `daemon/invalid` naming what was parsed. */
export function parseJson(text: string, what: string): unknown {
  checkDepth(text, what);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new TscError('daemon/invalid', `${what} is not valid JSON`, { cause: error });
  }
}

async function readText(body: Readable, limit: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > limit) throw new TscError('daemon/exhausted', `the body is larger than ${limit} bytes`);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString('utf8');
}

// The parser itself recurses, so the depth is counted before it runs.
function checkDepth(text: string, what: string): void {
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x22) at = endOfString(text, at);
    else if (code === 0x7b || code === 0x5b) depth += 1;
    else if (code === 0x7d || code === 0x5d) depth -= 1;
    if (depth > MAX_DEPTH) throw new TscError('daemon/invalid', `${what} is nested deeper than ${MAX_DEPTH} levels`);
  }
}

function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x5c) at += 1;
    else if (code === 0x22) return at;
  }
  return text.length;
}
