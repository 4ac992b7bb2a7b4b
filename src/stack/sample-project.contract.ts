import { loadProject, type Project } from '../compose/index.ts';

/** A project from compose text, read by the real loader. */
export async function sampleProject(text: string, environment: Record<string, string> = {}): Promise<Project> {
  const { project } = await loadProject({
    files: ['/demo/compose.yaml'],
    currentDirectory: '/demo',
    environment,
    reader: {
      read: async (path) => (path === '/demo/compose.yaml' ? Buffer.from(text) : undefined),
    },
  });
  return project;
}
