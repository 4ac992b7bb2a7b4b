/**
 * cli: the tscompose command – options, views, prompts, exit statuses. Everything it does is in `stack`; it loads each verb
 * only when it is asked for. Refuses to know the engine's inside.
 */
export { runCli } from './program.ts';
