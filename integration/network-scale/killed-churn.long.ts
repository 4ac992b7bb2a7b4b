import { takesBlows } from './killed.ts';

takesBlows({ count: 150, timeout: 3_600_000, churners: 4 });
