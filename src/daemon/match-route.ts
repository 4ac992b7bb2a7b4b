import type { ApiRequest, ApiResponse } from './http-message.ts';
import type { DaemonServices } from './services.ts';

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';

/** What a route gets: the request with its version and the decoded parts of its path. */
export interface RouteCall {
  readonly request: ApiRequest;
  readonly version: string;
  /** A named part of the path; empty when the pattern has none of that name. */
  param(name: string): string;
  readonly services: DaemonServices;
}

export interface Route {
  readonly methods: readonly Method[];
  /** `{id}` is one segment, `{name...}` one or more. */
  readonly pattern: string;
  readonly run: (call: RouteCall) => Promise<ApiResponse> | ApiResponse;
}

/** Shorthand for one table row: `route('GET', '/containers/json', list)`. */
export function route(methods: Method | readonly Method[], pattern: string, run: Route['run']): Route {
  return { methods: typeof methods === 'string' ? [methods] : methods, pattern, run };
}

export interface RouteMatch {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
}

interface Compiled {
  readonly route: Route;
  readonly expression: RegExp;
  readonly names: readonly string[];
}

export type Router = (method: string, path: string) => RouteMatch | undefined;

/** A router over an ordered table: the first row whose method and pattern fit wins. */
export function createRouter(routes: readonly Route[]): Router {
  const compiled = routes.map(compile);
  return (method, path) => {
    for (const { route: candidate, expression, names } of compiled) {
      if (!candidate.methods.some((item) => item === method)) continue;
      const match = expression.exec(path);
      if (match) return { route: candidate, params: readParams(names, match) };
    }
    return undefined;
  };
}

function compile(candidate: Route): Compiled {
  const names: string[] = [];
  const source = candidate.pattern.replace(/\{(\w+)(\.\.\.)?\}/g, (_all, name: string, many?: string) => {
    names.push(name);
    return many ? '(.+)' : '([^/]+)';
  });
  return { route: candidate, expression: new RegExp(`^${source}$`), names };
}

function readParams(names: readonly string[], match: RegExpExecArray): Record<string, string> {
  const params: Record<string, string> = Object.create(null);
  names.forEach((name, index) => {
    params[name] = decodePart(match[index + 1] ?? '');
  });
  return params;
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    // Not percent-encoded after all: `100%` is then simply a name nobody has.
    return part;
  }
}
