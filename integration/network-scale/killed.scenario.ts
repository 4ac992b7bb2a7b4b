import { takesBlows } from './killed.ts';

takesBlows(12, 240_000);
