import { join } from 'node:path';
import { parseImageRef } from '../core/index.ts';
import { readJsonIfExists } from '../host/index.ts';
import type { RegistryCredentials } from '../registry/index.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Looks logins up where `docker login` keeps them (`DOCKER_CONFIG`, `~/.docker/config.json`) and gives the value of the engine's
 * authentication header for an image. Logins kept by a credential helper program are not asked for.
 */
export function registryAuthentication(environment: Environment): (reference: string) => Promise<string | undefined> {
  let logins: Promise<ReadonlyMap<string, string>> | undefined;
  return async (reference) => {
    logins ??= readLogins(environment);
    const { registry } = parseImageRef(reference);
    const server = registry === 'docker.io' ? 'https://index.docker.io/v1/' : registry;
    const login = (await logins).get(server) ?? (await logins).get(`https://${server}`);
    if (login === undefined) return undefined;
    const [username = '', ...password] = Buffer.from(login, 'base64').toString('utf8').split(':');
    const header = { username, password: password.join(':'), serveraddress: server };
    return Buffer.from(JSON.stringify(header)).toString('base64url');
  };
}

async function readLogins(environment: Environment): Promise<ReadonlyMap<string, string>> {
  const folder = environment['DOCKER_CONFIG'] || join(environment['HOME'] ?? '/', '.docker');
  const config = await readJsonIfExists(join(folder, 'config.json'));
  const auths = typeof config === 'object' && config !== null && 'auths' in config ? config.auths : undefined;
  return new Map(
    Object.entries(auths ?? {}).flatMap(([server, entry]: [string, unknown]) =>
      typeof entry === 'object' && entry !== null && 'auth' in entry && typeof entry.auth === 'string'
        ? [[server, entry.auth] as const]
        : [],
    ),
  );
}

/** The same logins for asking a registry directly, by image reference. */
export function registryCredentials(
  environment: Environment,
): (reference: string) => Promise<RegistryCredentials | undefined> {
  const header = registryAuthentication(environment);
  return async (reference) => {
    const encoded = await header(reference);
    if (encoded === undefined) return undefined;
    const { username, password } = JSON.parse(Buffer.from(encoded, 'base64url').toString('utf8')) as {
      readonly username: string;
      readonly password: string;
    };
    return { kind: 'basic', username, password };
  };
}
