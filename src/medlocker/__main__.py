"""`python -m medlocker` is `medlocker`."""

from medlocker.cli import main

if __name__ == "__main__":
    main()
