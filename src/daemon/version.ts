import manifest from '../../package.json' with { type: 'json' };

/** Version of tscompose, of daemon and command alike. */
export const VERSION: string = manifest.version;
