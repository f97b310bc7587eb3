// The page without a runtime, to know what memory the others take.

import { measure } from './measure.js';

measure(() => () => ({ label: '', probability: 0 }));
