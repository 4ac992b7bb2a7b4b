import type { Mapping, Node, Scalar, Span } from './node.ts';
import { COMPOSE_SCHEMA, propertyOf } from './schema.ts';

const SERVICE_KEYS = new Set(
  Object.keys(propertyOf(COMPOSE_SCHEMA.properties?.['services'] ?? {}, 'any')?.properties ?? {}),
);

/** Whether a service has such a key. */
export function isServiceKey(key: string): boolean {
  return SERVICE_KEYS.has(key);
}

/** What may have been meant by a value of the wrong kind. */
export function typeHint(node: Node, types: readonly string[], path: string): string | undefined {
  const service = /^services\.([^.]+)$/.exec(path)?.[1];
  if (service !== undefined && isServiceKey(service)) {
    return `${service} is a key of a service: indent it below the service's name`;
  }
  if (node.kind === 'scalar') return scalarHint(node, types, path);
  if (node.kind === 'list' && types.includes('object')) return 'remove the leading dashes: this takes key: value pairs';
  if (node.kind === 'map' && types.includes('array')) return 'start each item with a dash';
  return node.kind === 'map' ? itemHint(node, path) : undefined;
}

/** A mapping where a list has texts: a stray dash, or a text with a blank after its colon. */
function itemHint({ entries }: Mapping, path: string): string | undefined {
  const list = /([\w-]+)\[\d+\]$/.exec(path)?.[1];
  if (list === undefined) return undefined;
  const [key, entry] = [...entries][0] ?? [];
  const value = entry?.value;
  if (key !== undefined && value?.kind === 'map')
    return `leave the dash before ${key} out: with settings it is a mapping`;
  if (['environment', 'labels', 'args', 'annotations', 'sysctls'].includes(list) && value?.kind === 'scalar')
    return `write - ${key}=${value.text}, or leave the dashes out`;
  return 'an item that contains ": " needs quotes';
}

function scalarHint(node: Scalar, types: readonly string[], path: string): string | undefined {
  const text = sourceText(node);
  if (node.value === null) {
    return types.includes('object') || types.includes('array')
      ? 'indent what belongs to it below, or remove the key'
      : 'give a value or remove the key';
  }
  if (/\.(?:interval|timeout|start_period|start_interval|stop_grace_period)$/.test(path))
    return `say the unit: ${text}s`;
  if (path === 'version') return 'remove it: it is obsolete';
  if (types.includes('string')) return `put it in quotes: "${text}"`;
  const dashed = /^-([^\s-].*)$/.exec(text)?.[1];
  if (dashed !== undefined && types.includes('array')) return `write a blank after the dash: - ${dashed}`;
  const section = /^(services|secrets|configs)\.([^.]+)$/.exec(path);
  if (section) return entryHint(text, section[1] ?? '', section[2] ?? '');
  if (types.includes('object')) return mappingHint(text, types);
  return types.includes('array') ? `write it as a list: [${text}]` : undefined;
}

/** A text where the settings of a service, secret or config belong. */
function entryHint(text: string, section: string, name: string): string | undefined {
  if (section !== 'services') return `write ${name}: {file: ${text}}`;
  const [, key = '', value = ''] = /^([\w-]+):?\s*(.*)$/s.exec(text) ?? [];
  if (isServiceKey(key) && value !== '') return `write a colon and a blank: ${key}: ${value}`;
  return /\s/.test(text) ? undefined : `write image: ${text} below ${name}`;
}

/** What was meant by a text where `key: value` lines belong. */
function mappingHint(text: string, types: readonly string[]): string | undefined {
  const [, key, separator, value = ''] = /^([\w.-]+)([:=])(.*)$/.exec(text) ?? [];
  if (key === undefined) return types.includes('array') ? `write it as a list: [${text}]` : undefined;
  return separator === ':'
    ? `write a space after the colon: ${key}: ${value}`
    : `write ${key}: ${value}${types.includes('array') ? `, or a list: - ${text}` : ''}`;
}

/** As it is written, shortened. */
export function sourceText(span: Span): string {
  return span.source.text.slice(span.start, Math.min(span.end, span.start + 40)).trim();
}
