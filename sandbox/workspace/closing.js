/** A person who closes the window before they have decided. */

window.close();
