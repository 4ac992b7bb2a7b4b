import { takesBlows } from './killed.ts';

takesBlows(300, 3_600_000);
