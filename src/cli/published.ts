import { type Project, type Publishing, publishingOf, publishOnLoopback } from '../compose/index.ts';
import { readTextIfExists } from '../host/index.ts';

/** The project as its ports are really published: as the project says, or the command. */
export async function published(project: Project, wanted?: Publishing): Promise<Project> {
  if ((wanted ?? publishingOf(project)) !== 'loopback') return project;
  const interfaces = (await readTextIfExists('/proc/net/if_inet6')) ?? '';
  return publishOnLoopback(project, / lo$/m.test(interfaces));
}
