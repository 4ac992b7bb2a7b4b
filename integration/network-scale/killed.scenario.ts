import { takesBlows } from './killed.ts';

takesBlows({ count: 12, timeout: 240_000 });
