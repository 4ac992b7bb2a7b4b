/**
 * language-server: compose files in editors, by the Language Server Protocol over two streams: findings, hover, completion,
 * definitions, references, renaming. Everything it knows comes from the loader in `compose`, so an editor and the command
 * never disagree. Refuses to write files: editors do.
 */
export { type LanguageServerOptions, startLanguageServer } from './start-language-server.ts';
