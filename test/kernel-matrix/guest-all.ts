/** Runs inside the test machine, which takes longer to boot than most of this takes. The lab is first: it must leave nothing. */
import "./guest-lab.ts";
import "./guest-impair.ts";
import "./kernel-guest.ts";
import "./guest.ts";
