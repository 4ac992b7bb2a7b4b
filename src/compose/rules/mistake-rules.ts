import { child, childItems, childMap, childText, type Mapping } from '../node.ts';
import { suggest } from '../suggest.ts';
import type { RuleContext } from './rule-context.ts';

/** What is allowed and almost never meant. */
export function mistakes(service: Mapping, context: RuleContext): void {
  decimalModes(service, context);
  misspeltNetworkMode(service, context);
  upperCaseImage(service, context);
}

/** Rights such as 444 or 0640 without their zero: no one gives less to the owner than to others. */
const RIGHTS = /^(?:7[0-7]{2}|6[0-6]{2}|5[0-5]{2}|4[0-4]{2})$/;

function decimalModes(service: Mapping, { name, warn }: RuleContext): void {
  for (const section of ['configs', 'secrets']) {
    for (const grant of childItems(service, section)) {
      const mode = child(grant, 'mode');
      if (mode?.kind !== 'scalar' || typeof mode.value !== 'number') continue;
      const written = mode.source.text.slice(mode.start, mode.end);
      if (!RIGHTS.test(written) || /[123]/.test(written)) continue;
      const what = `mode ${written} of ${childText(grant, 'source')} in service ${name}`;
      const message = `${what} is a decimal number: 0${mode.value.toString(8)} in octal`;
      warn(mode, 'compose/decimal-mode', message, `write 0${written}`);
    }
  }
}

const NETWORK_MODES = ['host', 'bridge', 'none', 'default'];

/** Any other word names a network, and is looked for when the container starts. */
function misspeltNetworkMode(service: Mapping, { name, tree, warn }: RuleContext): void {
  const mode = child(service, 'network_mode');
  const text = childText(service, 'network_mode') ?? '';
  if (!mode || !/^[a-z]+$/i.test(text) || NETWORK_MODES.includes(text)) return;
  const near = childMap(tree, 'networks')?.entries.has(text) ? undefined : suggest(text, NETWORK_MODES);
  if (near === undefined) return;
  const message = `network_mode ${text} of service ${name} is taken for a network of that name`;
  warn(mode, 'compose/network-mode', message, `did you mean ${near}?`);
}

/** Longer names are refused for their length. */
const MAX_NAME = 500;

/** No registry has such an image; told here, it has a place. */
function upperCaseImage(service: Mapping, { name, warn }: RuleContext): void {
  const image = child(service, 'image');
  if (image?.kind !== 'scalar' || image.template || image.text.length > MAX_NAME) return;
  const [, host = '', path = '', rest = ''] = /^([^/@]*[.:A-Z][^/@]*\/)?([^:@]*)(.*)$/s.exec(image.text) ?? [];
  if (!/[A-Z]/.test(path)) return;
  const message = `the image ${image.text} of service ${name} has capital letters, which names of images may not have`;
  warn(image, 'compose/invalid-image', message, `write ${host}${path.toLowerCase()}${rest}`);
}
