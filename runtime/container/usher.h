/*
 * Who stands outside for a created process that waits for `start` among others, in a pid namespace it joined: holds the
 * fifo and the file for its last words, which are the host's, and passes on between them and the one socket the process
 * has. Leaves when the process is executed or gone.
 */
#pragma once

#include "base/err.h"
#include "setup/setup.h"

/* Takes setup->start_fifo and start_error over and puts the socket in their place; without a fifo nothing is done. */
int usher_make(struct setup *setup, struct err *err);
