"""`python -m medlocker` is `medlocker`."""

from medlocker.cli import main

main()
