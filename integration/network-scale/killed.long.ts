import { takesBlows } from './killed.ts';

takesBlows({ count: 300, timeout: 3_600_000 });
