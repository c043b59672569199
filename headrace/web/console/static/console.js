// Everything here is a help: without it each page reads and each form works.
import { follow } from "./live.js";
import { keys } from "./keys.js";
import { forms } from "./forms.js";

follow(document);
keys(document);
forms(document);
