/* Entry of the verb `keeper`. Returns the exit status. */
#pragma once

int keeper_main(int argc, char **argv);
